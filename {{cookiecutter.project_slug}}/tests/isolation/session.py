"""The sessions tests use, and the one transaction they share with the app under test."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
)

from tests.isolation.report import VerdictError

# Bound to a test's connection while the test runs. A commit releases a savepoint and a rollback
# goes back to one, so the app's rollback does not take the test's own rows with it.
test_session_maker = async_sessionmaker[AsyncSession](
    expire_on_commit=False,
    join_transaction_mode="create_savepoint",
)

running: list[AsyncSession] = []


class VanishedTransactionError(VerdictError):
    """A test ended the transaction in which all it does was to be undone."""


class OpenTransactionError(VerdictError):
    """A test left a session of `test_session_maker` in the middle of a transaction."""


class UncheckedConstraintError(VerdictError):
    """A test committed what a real commit would have refused."""


def current_session() -> AsyncSession:
    """Return the session of the test that runs.

    Raises:
        RuntimeError: The test did not ask for `db_session`.
    """
    if not running:
        raise RuntimeError("this needs a database: add the db_session fixture to the test")
    return running[-1]


def never() -> bool:
    """Commit nothing."""
    return False


@asynccontextmanager
async def session_on(
    engine: AsyncEngine,
    raw: sqlite3.Connection | None = None,
    is_committed: Callable[[], bool] = never,
) -> AsyncIterator[AsyncSession]:
    """Give the session of a test; `test_session_maker` makes others in the same transaction.

    Raises:
        VerdictError: What the test did cannot be relied on, or not be undone.
    """
    async with rolled_back(engine, raw, is_committed) as connection:
        test_session_maker.configure(bind=connection)
        session = test_session_maker()
        running.append(session)
        try:
            yield session
        finally:
            running.clear()
            test_session_maker.configure(bind=None)
            await session.close()
        if connection.in_nested_transaction():
            raise OpenTransactionError(
                "the test left a session open in the middle of a transaction;"
                " use `with test_session_maker() as session`"
            )
        await check_constraints(connection, raw)


@asynccontextmanager
async def rollback_test_context(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """Give a session on any engine; everything in it is rolled back, commits included.

    Raises:
        VanishedTransactionError: The transaction was over before the end, so something stays.
    """
    async with (
        rolled_back(engine) as connection,
        AsyncSession(
            connection,
            expire_on_commit=False,
            join_transaction_mode="create_savepoint",
        ) as session,
    ):
        yield session


@asynccontextmanager
async def rolled_back(
    engine: AsyncEngine,
    raw: sqlite3.Connection | None = None,
    is_committed: Callable[[], bool] = never,
) -> AsyncIterator[AsyncConnection]:
    """Give a connection in a transaction that ends with a rollback, or if told with a commit.

    A savepoint tells whether it still is the same transaction then: no other one knows it. Where
    the engine has a single connection in memory, `raw` is asked, which takes no time.

    Raises:
        VanishedTransactionError: The transaction was over before the end, so something stays.
    """
    async with engine.connect() as connection:
        transaction = await connection.begin()
        await execute(connection, raw, "SAVEPOINT isolation")
        try:
            yield connection
        finally:
            vanished = await is_over(connection, raw)
            if is_committed() and not vanished:
                await transaction.commit()
            else:
                # Sessions on the connection have nothing left to roll back then.
                await transaction.rollback()
            if vanished:
                # It explains whatever else went wrong, such as a session that cannot roll back.
                raise VanishedTransactionError(
                    "the test said COMMIT or ROLLBACK itself, and ended the transaction it shares"
                    " with the app; for that, use isolated_database"
                )


async def execute(
    connection: AsyncConnection,
    raw: sqlite3.Connection | None,
    statement: str,
) -> None:
    """Run a statement of the isolation's own, on the shortest way there is."""
    if raw is None:
        await connection.exec_driver_sql(statement)
    else:
        raw.execute(statement)


async def is_over(connection: AsyncConnection, raw: sqlite3.Connection | None) -> bool:
    """Tell whether the transaction of `rolled_back` has ended."""
    # After an error, PostgreSQL only goes back.
    for statement in ("RELEASE SAVEPOINT isolation", "ROLLBACK TO SAVEPOINT isolation"):
        with suppress(DBAPIError, sqlite3.OperationalError):
            await execute(connection, raw, statement)
            return False
    return True


async def check_constraints(connection: AsyncConnection, raw: sqlite3.Connection | None) -> None:
    """Check what a commit would check: a savepoint that is released leaves it for later.

    Raises:
        UncheckedConstraintError: A constraint does not hold.
    """
    try:
        if raw is None:
            await connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
            return
        # A row is the table, a row number, the table it refers to, and the number of the key.
        orphan = raw.execute("PRAGMA foreign_key_check").fetchone()
    except IntegrityError as error:
        raise unchecked(str(error.orig).splitlines()[0]) from error
    if orphan is not None:
        raise unchecked(f"row {orphan[1]} of {orphan[0]} refers to no row of {orphan[2]}")


def unchecked(problem: str) -> UncheckedConstraintError:
    """Return the error that says which constraint a commit would have found broken."""
    return UncheckedConstraintError(
        f"a real commit would have failed: {problem}. A constraint that is deferred is not checked"
        " in db_session; to test what a commit does, use isolated_database"
    )
