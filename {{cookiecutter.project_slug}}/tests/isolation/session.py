"""The sessions tests use, and the one transaction they share with the app under test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

# Bound to a test's connection while the test runs. A commit releases a savepoint and a rollback
# goes back to one, so the app's rollback does not take the test's own rows with it.
test_session_maker = async_sessionmaker[AsyncSession](
    expire_on_commit=False,
    join_transaction_mode="create_savepoint",
)

running: list[AsyncSession] = []


def current_session() -> AsyncSession:
    """Return the session of the test that runs.

    Raises:
        RuntimeError: The test did not ask for `db_session`.
    """
    if not running:
        raise RuntimeError("this needs a database: add the db_session fixture to the test")
    return running[-1]


@asynccontextmanager
async def session_on(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """Open a transaction, give a session inside it, and roll everything back."""
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
            # In this order, closing the session has nothing left to roll back.
            await transaction.rollback()
            await session.close()
