"""The sessions tests use, and the one transaction they share with the app under test."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
)

# Bound to a test's connection while the test runs. A commit releases a savepoint and a rollback
# goes back to one, so the app's rollback does not take the test's own rows with it.
test_session_maker = async_sessionmaker[AsyncSession](
    expire_on_commit=False,
    join_transaction_mode="create_savepoint",
)

running: list[AsyncSession] = []


class VanishedTransactionError(RuntimeError):
    """A test ended the transaction in which all it does was to be undone."""


def current_session() -> AsyncSession:
    """Return the session of the test that runs.

    Raises:
        RuntimeError: The test did not ask for `db_session`.
    """
    if not running:
        raise RuntimeError("this needs a database: add the db_session fixture to the test")
    return running[-1]


@asynccontextmanager
async def session_on(
    engine: AsyncEngine,
    raw: sqlite3.Connection | None = None,
) -> AsyncIterator[AsyncSession]:
    """Give the session of a test; `test_session_maker` makes others in the same transaction."""
    async with rolled_back(engine, raw) as connection:
        test_session_maker.configure(bind=connection)
        session = test_session_maker()
        running.append(session)
        try:
            yield session
        finally:
            running.clear()
            test_session_maker.configure(bind=None)


@asynccontextmanager
async def rollback_test_context(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """Give a session on any engine; everything in it is rolled back, commits included.

    Raises:
        VanishedTransactionError: The transaction was over before the end, so something stays.
    """
    async with rolled_back(engine) as connection:
        yield AsyncSession(
            connection,
            expire_on_commit=False,
            join_transaction_mode="create_savepoint",
        )


@asynccontextmanager
async def rolled_back(
    engine: AsyncEngine,
    raw: sqlite3.Connection | None = None,
) -> AsyncIterator[AsyncConnection]:
    """Give a connection in a transaction that is rolled back in the end.

    A savepoint tells whether it still is the same transaction then: no other one knows it. Where
    the engine has a single connection in memory, `raw` is asked, which takes no time.

    Raises:
        VanishedTransactionError: The transaction was over before the end, so something stays.
    """
    async with engine.connect() as connection:
        transaction = await connection.begin()
        if raw is None:
            await connection.exec_driver_sql("SAVEPOINT isolation")
        else:
            raw.execute("SAVEPOINT isolation")
        try:
            yield connection
        finally:
            vanished = await is_over(connection, raw)
            # Sessions on the connection have nothing left to roll back then.
            await transaction.rollback()
        if vanished:
            raise VanishedTransactionError(
                "the test said COMMIT or ROLLBACK itself, and ended the transaction it shares with"
                " the app; for that, use isolated_database"
            )


async def is_over(connection: AsyncConnection, raw: sqlite3.Connection | None) -> bool:
    """Tell whether the transaction of `rolled_back` has ended."""
    try:
        if raw is None:
            await connection.exec_driver_sql("ROLLBACK TO SAVEPOINT isolation")
        else:
            raw.execute("ROLLBACK TO SAVEPOINT isolation")
    except (DBAPIError, sqlite3.OperationalError):
        return True
    return False
