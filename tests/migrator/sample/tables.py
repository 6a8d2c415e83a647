"""The tables of ClickHouse in the sample's code."""

import sqlalchemy as sa
from clickhouse_connect.cc_sqlalchemy.datatypes.sqltypes import (
    UUID,
    Date,
    DateTime64,
    String,
    UInt64,
)
from clickhouse_connect.cc_sqlalchemy.ddl.tableengine import MergeTree, SummingMergeTree

metadata = sa.MetaData()

# Whatever the order of its columns.
events = sa.Table(
    "events",
    metadata,
    sa.Column("name", String),
    sa.Column("id", UUID),
    sa.Column("at", DateTime64(6, "UTC")),
    MergeTree(order_by="at"),
)
daily = sa.Table(
    "daily",
    metadata,
    sa.Column("name", String),
    sa.Column("day", Date),
    sa.Column("count", UInt64),
    SummingMergeTree(order_by=("name", "day")),
)
