"""The rows that revisions insert, and how many of them a database lacks."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from migrator.history import OWN_TABLES

# How many keys one query asks for.
AT_ONCE = 500


class Rows(NamedTuple):
    """Rows of a table, by their primary keys."""

    columns: tuple[str, ...]  # those of the key
    keys: frozenset[tuple[Any, ...]]  # the values


def read_rows(connection: Connection) -> Mapping[str, Rows]:
    """Return the keys of all rows of a scratch database. A table without a key is left out."""
    inspector = sa.inspect(connection)
    found = {}
    for table in inspector.get_table_names():
        columns = tuple(inspector.get_pk_constraint(table)["constrained_columns"])
        if table in OWN_TABLES or not columns:
            continue
        names: list[sa.ColumnClause[Any]] = [sa.column(name) for name in columns]
        query = sa.select(*names).select_from(sa.table(table))
        if keys := frozenset(tuple(row) for row in connection.execute(query)):
            found[table] = Rows(columns, keys)
    return found


def count_missing(connection: Connection, table: str, rows: Rows) -> int:
    """Return how many of these rows a table lacks."""
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in rows.columns]
    key = sa.tuple_(*columns)
    wanted = list(rows.keys)
    present = 0
    for start in range(0, len(wanted), AT_ONCE):
        part = wanted[start : start + AT_ONCE]
        query = sa.select(sa.func.count()).select_from(sa.table(table)).where(key.in_(part))
        present += connection.scalar(query) or 0
    return len(wanted) - present
