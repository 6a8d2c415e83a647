"""What a downgrade would delete, found before it runs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alembic import command
from sqlalchemy import Connection, column, func, inspect, select, table
from sqlalchemy.exc import DBAPIError

from migrator.errors import LockTimeoutError, RefusedError, UnknownLossesError, first_line
from migrator.scratch import scratch_at
from migrator.signals import is_interruption

if TYPE_CHECKING:
    from migrator.database import Database

INSUFFICIENT_PRIVILEGE = "42501"
# No such column, no such table.
NOT_THERE = ("42703", "42P01")

# A table's schema, None for the default one, and its name; and the names of the columns of each.
Key = tuple[str | None, str]
Columns = dict[Key, set[str]]


@dataclass(frozen=True)
class Loss:
    """A table or column that a downgrade deletes."""

    table: str  # with its schema, if that is not the default one
    count: int | None  # of rows, or of values of the column; None if row-level security hides some
    column: str = ""  # empty for the whole table

    def __str__(self) -> str:
        kind, unit = ("column", "value") if self.column else ("table", "row")
        name = ".".join(filter(None, (self.table, self.column)))
        if self.count is None:
            return f"{kind} {name}: its {unit}s cannot be counted (row-level security)"
        return f"{kind} {name}: {self.count} {unit}{'s' * (self.count != 1)}"


def find_losses(database: "Database", revision: str, target: str) -> list[Loss]:
    """Return what the downgrade from `revision`, the database's present one, to `target` deletes.

    It runs on a scratch database first, and the tables and columns that disappear there are counted
    in the real one. Rows that a revision deletes itself are not found.

    Raises:
        LockTimeoutError: Another process did not release the scratch database in time.
        RefusedError: Another run drops tables meanwhile.
        UnknownLossesError: It cannot run on a scratch database.
    """
    try:
        with at_revision(database, revision) as scratch:
            before = read_columns(scratch)
            command.downgrade(database.config(scratch), target)
            after = read_columns(scratch)
    except LockTimeoutError:
        raise
    except Exception as error:  # a revision is any code, and may need rows
        from migrator.failures import describe_error

        if is_interruption(error):
            raise
        raise UnknownLossesError(describe_error(database, error)) from error
    with database.reading() as connection:
        try:
            return count_losses(connection, before, after)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") not in NOT_THERE:
                raise
            raise RefusedError(
                "another run changed the database while its rows were counted."
                " Next: run the same command again"
            ) from error


@contextmanager
def at_revision(database: "Database", revision: str) -> Iterator[Connection]:
    """Yield a connection to a scratch database at a revision: on SQLite, if nothing else.

    Raises:
        RefusedError: The revisions run on PostgreSQL only, and the role may not create a database.
    """
    with ExitStack() as stack:
        try:
            scratch = stack.enter_context(database.scratch())
            command.upgrade(database.config(scratch), revision)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") != INSUFFICIENT_PRIVILEGE:
                raise
            try:
                scratch = stack.enter_context(scratch_at(revision, database.config))
            except Exception as reason:  # noqa: BLE001  # a revision is any code
                raise RefusedError(
                    "this role may not create one on the server (ALTER ROLE … CREATEDB allows it),"
                    f" and on SQLite the revisions fail: {first_line(reason)}"
                ) from error
        yield scratch


def count_losses(connection: Connection, before: Columns, after: Columns) -> list[Loss]:
    """Return the tables and columns that disappear, with the rows they have in a database."""
    present = read_columns(connection)
    hidden = find_hidden(connection)

    def loss(key: Key, part: str = "") -> Loss:
        found = None if key in hidden else count(connection, key, part)
        return Loss(name_of(key), found, part)

    known = sorted(before.keys() & present.keys(), key=lambda key: (key[0] or "", key[1]))
    tables = [loss(key) for key in known if key not in after]
    columns = [
        loss(key, part)
        for key in known
        if key in after
        for part in sorted((before[key] - after[key]) & present[key])
    ]
    return tables + columns


def read_columns(connection: Connection) -> Columns:
    """Return the names of the columns of each table: on PostgreSQL, of all schemas but its own."""
    inspector = inspect(connection)
    schemas: list[str | None] = [None]
    if connection.dialect.name == "postgresql":
        left_out = {inspector.default_schema_name, "information_schema"}
        schemas += [it for it in inspector.get_schema_names() if it not in left_out]
    return {
        key: {part["name"] for part in parts}
        for schema in schemas
        for key, parts in inspector.get_multi_columns(schema).items()
    }


def find_hidden(connection: Connection) -> set[Key]:
    """Return the tables of which row-level security may hide rows from this role."""
    if connection.dialect.name != "postgresql":
        return set()
    rows = connection.exec_driver_sql(
        "SELECT nullif(nspname, current_schema()), relname"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE relrowsecurity AND row_security_active(c.oid)"
    )
    return {(schema, name) for schema, name in rows}


def name_of(key: Key) -> str:
    """Return what messages call a table: with its schema, if that is not the default one."""
    return ".".join(filter(None, key))


def count(connection: Connection, key: Key, part: str = "") -> int:
    """Return how many rows a table has, or how many values other than NULL a column."""
    schema, name = key
    what = func.count(column(part)) if part else func.count()
    return connection.scalar(select(what).select_from(table(name, schema=schema))) or 0
