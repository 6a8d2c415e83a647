"""Empties a database, if and only if it is one that testdb made."""

import os
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, overload

from sqlalchemy import inspect, text
from sqlalchemy.orm import Session

from .signature import UNMARKED

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

# Pytest has it set while a test runs.
RUNNING_TEST = "PYTEST_CURRENT_TEST"


class RefusedError(RuntimeError):
    """The database was not touched, because its data may matter."""


@overload
def drop_db(session: Session) -> None: ...


@overload
def drop_db(session: "AsyncSession") -> Awaitable[None]: ...


def drop_db(session: Any) -> Awaitable[None] | None:
    """Drop every table, Alembic's included; await it with an asynchronous session.

    Raises:
        RefusedError: No test is running, or testdb did not make this database.
    """
    if RUNNING_TEST not in os.environ:
        raise RefusedError("drop_db() only runs in tests; to undo migrations, downgrade them")
    if isinstance(session, Session):
        drop_tables(session)
        return None
    dropped: Awaitable[None] = session.run_sync(drop_tables)
    return dropped


def drop_tables(session: Session) -> None:
    """Drop every table of a database that carries the mark."""
    connection = session.connection()
    dialect = connection.dialect
    if session.execute(text(UNMARKED[dialect.name])).first():
        raise RefusedError(
            f"{connection.engine.url!r} was not made by testdb. Use the db_session fixture."
        )
    names = inspect(connection).get_table_names()
    tables = [dialect.identifier_preparer.quote(name) for name in sorted(names)]
    if dialect.name == "sqlite":
        # In any order: no row refers to another when all are gone.
        session.execute(text("PRAGMA defer_foreign_keys = ON"))
        for table in tables:
            # A virtual table takes along those that it keeps its rows in.
            session.execute(text(f"DROP TABLE IF EXISTS {table}"))
    elif tables:
        session.execute(text(f"DROP TABLE {', '.join(tables)} CASCADE"))
