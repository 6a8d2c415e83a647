"""What a downgrade would delete, read before it does."""

from dataclasses import dataclass

from alembic import command
from sqlalchemy import Connection, column, func, inspect, select, table

from placeholder_service.db.migrate.config import alembic_config
from placeholder_service.db.migrate.scratch import scratch_at

Columns = dict[str, set[str]]


@dataclass(frozen=True)
class Loss:
    """A table or column that goes, and how many rows or values are in it."""

    name: str
    count: int

    def __str__(self) -> str:
        is_column = "." in self.name
        kind, what = ("column", "value") if is_column else ("table", "row")
        return f"{kind} {self.name}: {self.count} {what}{'s' * (self.count != 1)}"


def losses(connection: Connection, revision: str, target: str) -> list[Loss]:
    """Return what going from `revision` down to `target` deletes from a database.

    The revisions are rehearsed on a scratch database, and the tables and columns that disappear
    there are counted in the real one. What a revision deletes by itself, row by row, is not seen.
    """
    with scratch_at(revision) as scratch:
        before = columns(scratch)
        scratch.rollback()
        command.downgrade(alembic_config(scratch), target)
        after = columns(scratch)
    there = columns(connection)
    here = sorted(before.keys() & there.keys())
    tables = [Loss(name, count(connection, name)) for name in here if name not in after]
    parts = [
        Loss(f"{name}.{part}", count(connection, name, part))
        for name in here
        if name in after
        for part in sorted((before[name] - after[name]) & there[name])
    ]
    return tables + parts


def columns(connection: Connection) -> Columns:
    """Return the columns of each table."""
    found = inspect(connection).get_multi_columns()
    return {name: {part["name"] for part in parts} for (_, name), parts in found.items()}


def count(connection: Connection, name: str, part: str | None = None) -> int:
    """Return how many rows a table has, or how many values a column."""
    what = func.count(column(part)) if part else func.count()
    return connection.scalar(select(what).select_from(table(name))) or 0
