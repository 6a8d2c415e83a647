"""The sessions tests use, and the one transaction they share with the app under test."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    AsyncTransaction,
    async_sessionmaker,
)

from tests.isolation.report import VerdictError

# Bound to a test's connection while the test runs. A commit releases a savepoint and a rollback
# goes back to one, so the app's rollback does not take the test's own rows with it.
test_session_maker = async_sessionmaker[AsyncSession](
    expire_on_commit=False,
    # As the service's own: a closed session stays closed.
    close_resets_only=False,
    join_transaction_mode="create_savepoint",
)

running: list[AsyncSession] = []


class VanishedTransactionError(VerdictError):
    """A test ended the transaction in which all it does was to be undone."""


class OpenTransactionError(VerdictError):
    """A test left a session of `test_session_maker` in the middle of a transaction."""


class BrokenConstraintError(VerdictError):
    """A test committed what a real commit would have refused."""


VANISHED = (
    "the test said COMMIT or ROLLBACK itself, and ended the transaction it shares with the app; for"
    " that, use isolated_database"
)


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
    raw: sqlite3.Connection | None,
    is_committed: Callable[[], bool],
) -> AsyncIterator[AsyncSession]:
    """Give the session of a test; `test_session_maker` makes others in the same transaction.

    The engine's transactions begin with a savepoint. In the end it tells whether it still is the
    same transaction: no other one knows it. Where the engine has a single connection, `raw` is
    that connection, and asking it takes no time.

    Raises:
        VerdictError: What the test did cannot be relied on, or not be undone.
    """
    async with engine.connect() as connection:
        transaction = await connection.begin()
        test_session_maker.configure(bind=connection)
        session = test_session_maker()
        running.append(session)
        try:
            yield session
        finally:
            running.clear()
            test_session_maker.configure(bind=None)
            statement = "COMMIT" if is_committed() else "ROLLBACK"
            try:
                await end(connection, transaction, session, raw, statement)
            finally:
                if transaction.is_active:
                    await transaction.rollback()


async def end(
    connection: AsyncConnection,
    transaction: AsyncTransaction,
    session: AsyncSession,
    raw: sqlite3.Connection | None,
    statement: str,
) -> None:
    """End the transaction of a test, and check what a commit would have checked.

    Raises:
        VerdictError: The test has ended it, left it open, or broken a constraint.
    """
    try:
        await session.close()
        if not transaction.is_active:
            raise VanishedTransactionError(VANISHED)
        is_open = connection.in_nested_transaction()
        if raw is None:
            # In one message: a small test takes not much longer than one more.
            await connection.exec_driver_sql(
                f"SET CONSTRAINTS ALL IMMEDIATE; RELEASE SAVEPOINT isolation; {statement}"
            )
        else:
            check_foreign_keys(raw)
            raw.execute("RELEASE SAVEPOINT isolation")
            raw.execute(statement)
    except IntegrityError as error:
        raise broken(str(error.orig).splitlines()[0]) from error
    except (DBAPIError, connection.dialect.loaded_dbapi.Error) as error:
        raise VanishedTransactionError(VANISHED) from error
    if is_open:
        raise OpenTransactionError(
            "the test left a session open in the middle of a transaction;"
            " use `with test_session_maker() as session`"
        )


def check_foreign_keys(raw: sqlite3.Connection) -> None:
    """Find rows without the row they refer to, which SQLite looks for in a commit.

    Raises:
        BrokenConstraintError: There is one.
    """
    for table, row, parent, _ in raw.execute("PRAGMA foreign_key_check"):
        raise broken(f"row {row} of {table} refers to no row of {parent}")


def broken(problem: str) -> BrokenConstraintError:
    """Return the error that says what a commit would have found."""
    return BrokenConstraintError(
        f"a real commit would have failed: {problem}. A constraint that is deferred is not checked"
        " in db_session; to test what a commit does, use isolated_database"
    )


@asynccontextmanager
async def rollback_test_context(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """Give a session on any engine; everything in it is rolled back, commits included.

    Raises:
        VanishedTransactionError: The transaction was over before the end, so something stays.
    """
    async with engine.connect() as connection:
        transaction = await connection.begin()
        await connection.exec_driver_sql("SAVEPOINT isolation")
        try:
            yield AsyncSession(
                connection,
                expire_on_commit=False,
                join_transaction_mode="create_savepoint",
            )
            if not transaction.is_active:
                raise VanishedTransactionError(VANISHED)
            try:
                await connection.exec_driver_sql("ROLLBACK TO SAVEPOINT isolation")
            except DBAPIError as error:
                raise VanishedTransactionError(VANISHED) from error
        finally:
            if transaction.is_active:
                await transaction.rollback()
