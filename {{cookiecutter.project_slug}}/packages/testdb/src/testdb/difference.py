"""What two states of a database differ in, row by row."""

import warnings
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Inspector,
    Integer,
    MetaData,
    String,
    Text,
    Uuid,
    cast,
    inspect,
    select,
    type_coerce,
)
from sqlalchemy.exc import SAWarning
from sqlalchemy.types import NULLTYPE

# Where testdb keeps what is its own on PostgreSQL; migrations and autogenerate do not see it.
OWN_SCHEMA = "testdb_isolation"
BUILT_IN = (OWN_SCHEMA, "information_schema")

# Types of columns whose values are read as they are.
PLAIN = (Integer, String, Uuid)

Rows = dict[tuple[Any, ...], tuple[Any, ...]]


@dataclass(frozen=True)
class TableDifference:
    """Primary keys of the rows that were added, removed or changed."""

    added: list[tuple[Any, ...]]
    removed: list[tuple[Any, ...]]
    changed: list[tuple[Any, ...]]


Difference = dict[str, TableDifference]


def difference(before: Connection, after: Connection) -> Difference:
    """Return what changed between two states, for each table in which anything did."""
    old, new = read(before), read(after)
    found = {
        table: compare(old.get(table, {}), new.get(table, {}))
        for table in sorted(old.keys() | new.keys())
    }
    return {
        table: rows for table, rows in found.items() if rows.added or rows.removed or rows.changed
    }


def describe(found: Difference) -> str:
    """Return how many rows of each table differ, in a line."""
    counts = {
        table: f"{len(rows.added)} added, {len(rows.removed)} removed, {len(rows.changed)} changed"
        for table, rows in found.items()
    }
    return "; ".join(f"{table}: {count}" for table, count in counts.items()) or "nothing"


def compare(old: Rows, new: Rows) -> TableDifference:
    """Return how the rows of one table changed."""
    return TableDifference(
        added=[key for key in new if key not in old],
        removed=[key for key in old if key not in new],
        changed=[key for key in new if key in old and new[key] != old[key]],
    )


def schemas(inspector: Inspector) -> list[str | None]:
    """Return where the service may have tables: the default schema, which is None, and others."""
    others = {*inspector.get_schema_names()} - {inspector.default_schema_name, *BUILT_IN}
    return [None, *sorted(others)]


def read(connection: Connection) -> dict[str, Rows]:
    """Return all rows of all tables by their keys; a table without a key goes by whole rows."""
    metadata = MetaData()
    with warnings.catch_warnings(action="ignore", category=SAWarning):
        # Of indexes it cannot read, which do not matter here.
        for schema in schemas(inspect(connection)):
            metadata.reflect(connection, schema)
    state = {}
    for table in metadata.tables.values():
        keys = [column.name for column in table.primary_key] or list(table.columns.keys())
        columns = [readable(column, connection.dialect.name) for column in table.columns]
        rows = connection.execute(select(*columns)).mappings()
        state[table.fullname] = {
            tuple(row[key] for key in keys): tuple(map(repr, row.values())) for row in rows
        }
    return state


def readable(column: Column[Any], dialect: str) -> ColumnElement[Any]:
    """Return a column without what Python cannot hold, such as the date `infinity`.

    On SQLite, a column may hold anything, whatever its type.
    """
    if isinstance(column.type, PLAIN):
        return column
    return (cast(column, Text) if dialect == "postgresql" else type_coerce(column, NULLTYPE)).label(
        column.name
    )
