"""Sessions of the running service. Tests get theirs from `tests.conftest` instead."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from placeholder_service.db.engine import READ_ONLY

SessionMaker = async_sessionmaker[AsyncSession]


def make_session_maker(engine: AsyncEngine) -> SessionMaker:
    """Return the factory of the service's sessions.

    Objects stay readable after a commit: a response is built from them when the transaction is
    already over. The session itself is not: used once more after it was closed, it would begin a
    transaction that is never ended.
    """
    return async_sessionmaker(engine, expire_on_commit=False, close_resets_only=False)


@asynccontextmanager
async def begin_reading(session_maker: SessionMaker) -> AsyncIterator[AsyncSession]:
    """Begin a transaction that only reads: on SQLite, it waits for no writer."""
    async with session_maker.begin() as session:
        await session.connection(execution_options={READ_ONLY: True})
        yield session
