"""The tables of ClickHouse in code; a test compares them with what the migrations create."""

import sqlalchemy as sa
from clickhouse_connect.cc_sqlalchemy.datatypes import sqltypes as types
from clickhouse_connect.cc_sqlalchemy.ddl.tableengine import ReplacingMergeTree

metadata = sa.MetaData()
events = sa.Table(
    "events",
    metadata,
    sa.Column("event_id", types.UUID),
    sa.Column("occurred_at", types.DateTime64(6, "UTC")),
    sa.Column("user_id", types.Nullable(types.UUID)),
    sa.Column("name", types.LowCardinality(types.String)),
    sa.Column("entity_id", types.UUID),
    sa.Column("properties", types.String),
    ReplacingMergeTree(order_by="(toDate(occurred_at), event_id)"),
)
metrics = sa.Table(
    "metrics",
    metadata,
    sa.Column("name", types.LowCardinality(types.String)),
    sa.Column("bucket", types.DateTime("UTC")),
    sa.Column("value", types.Float64),
    ReplacingMergeTree(order_by="(name, bucket)"),
)
