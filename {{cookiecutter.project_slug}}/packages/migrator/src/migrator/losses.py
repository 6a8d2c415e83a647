"""What a downgrade would delete, found before it runs."""

from dataclasses import dataclass

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, column, func, inspect, select, table


@dataclass(frozen=True)
class Loss:
    """A table or column that a downgrade deletes.

    Attributes:
        name: `table`, or `table.column`.
        count: How many rows the table has, or how many values the column; None if row-level
            security hides some of them.
    """

    name: str
    count: int | None

    @property
    def table(self) -> str:
        """The table, or the one that the column belongs to."""
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        is_column = "." in self.name
        kind, unit = ("column", "value") if is_column else ("table", "row")
        if self.count is None:
            return f"{kind} {self.name}: its {unit}s cannot be counted (row-level security)"
        return f"{kind} {self.name}: {self.count} {unit}{'s' * (self.count != 1)}"


def find_losses(
    connection: Connection, scratch: Connection, config: Config, target: str
) -> list[Loss]:
    """Return what the downgrade to `target` deletes from a database.

    The downgrade runs on a scratch database first, which is at the same revision, with a
    configuration bound to it; the tables and columns that disappear there are counted in the real
    one. Rows that a revision deletes itself are not found.
    """
    before = read_columns(scratch)
    scratch.rollback()
    command.downgrade(config, target)
    after = read_columns(scratch)
    present = read_columns(connection)
    hidden = find_hidden(connection)

    def visible(name: str, part: str | None = None) -> int | None:
        return None if name in hidden else count(connection, name, part)

    known = sorted(before.keys() & present.keys())
    tables = [Loss(name, visible(name)) for name in known if name not in after]
    columns = [
        Loss(f"{name}.{part}", visible(name, part))
        for name in known
        if name in after
        for part in sorted((before[name] - after[name]) & present[name])
    ]
    return tables + columns


def read_columns(connection: Connection) -> dict[str, set[str]]:
    """Return the names of the columns of each table."""
    found = inspect(connection).get_multi_columns()
    return {name: {part["name"] for part in parts} for (_, name), parts in found.items()}


def find_hidden(connection: Connection) -> set[str]:
    """Return the tables of which row-level security may hide rows from this role."""
    if connection.dialect.name != "postgresql":
        return set()
    rows = connection.exec_driver_sql(
        "SELECT CASE WHEN pg_table_is_visible(oid) THEN relname ELSE oid::regclass::text END"
        " FROM pg_class WHERE relrowsecurity AND row_security_active(oid)"
    )
    return set(rows.scalars())


def count(connection: Connection, name: str, part: str | None = None) -> int:
    """Return how many rows a table has, or how many values other than NULL a column."""
    what = func.count(column(part)) if part else func.count()
    return connection.scalar(select(what).select_from(table(name))) or 0
