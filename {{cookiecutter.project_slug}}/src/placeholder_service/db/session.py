"""Sessions of the running service. Tests get theirs from `tests.conftest` instead."""

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

SessionMaker = async_sessionmaker[AsyncSession]


def make_session_maker(engine: AsyncEngine) -> SessionMaker:
    """Return the factory of the service's sessions.

    Objects stay readable after a commit: a response is built from them when the transaction is
    already over. The session itself is not: used once more after it was closed, it would begin a
    transaction that is never ended.
    """
    return async_sessionmaker(engine, expire_on_commit=False, close_resets_only=False)
