"""Fills a development database with rows: all of them, or none."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa

from migrator.calls import Exit, fail
from migrator.errors import RefusedError, first_line
from migrator.soundness import check_foreign_keys

if TYPE_CHECKING:
    from migrator.database import Database


@contextmanager
def seeding(
    database: "Database", metadata: sa.MetaData, *, upgrade: str, append: str | None = None
) -> Iterator[sa.Connection]:
    """Begin the transaction for the rows, and commit it if they refer to no missing ones.

    Args:
        database: The migrations of the database, which have to be applied.
        metadata: The tables, which have to be empty unless rows may be added to them.
        upgrade: The command that applies the migrations.
        append: The command that adds to the rows of others; None if that is this one.

    Raises:
        RefusedError: The database is of production, or not migrated, or not empty.
    """
    if database.production:
        raise RefusedError("this is production. Next: run it where ENVIRONMENT=development")
    found = database.status()
    if found.revisions != found.heads:
        raise RefusedError(f"the database is at {found.revision}. Next: {upgrade}")
    with database.engine().begin() as connection:
        if append is not None and (filled := filled_tables(connection, metadata)):
            rows = f"there are rows in {', '.join(filled)}"
            raise RefusedError(f"the database is not empty: {rows}. To add to them: {append}")
        yield connection
        check_foreign_keys(connection)


def filled_tables(connection: sa.Connection, metadata: sa.MetaData) -> list[str]:
    """Return the names of the tables that have rows, parents first."""
    return [
        table.name
        for table in metadata.sorted_tables
        if connection.scalar(sa.select(sa.select(table).exists()))
    ]


def report(error: Exception) -> Exit:
    """Print why no row was added, and return the exit code."""
    if isinstance(error, RefusedError):
        return fail(Exit.REFUSED, f"Refused: {error}")
    reason = f"Failed, nothing was added: {first_line(error)}"
    return fail(Exit.FAILED, f"{reason}. Next: fix it and try again")
