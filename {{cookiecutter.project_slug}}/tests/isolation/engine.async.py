"""The engine of the tests: SQLAlchemy on one connection that stays open."""

import sqlite3

import aiosqlite
from sqlalchemy import StaticPool
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.isolation.sqlite import adapt, begin_explicitly


def make_test_engine(raw: sqlite3.Connection) -> AsyncEngine:
    """Return an engine that always uses `raw`, so that what is restored there is what it sees."""
    adapt(raw)

    async def connect() -> aiosqlite.Connection:
        return await aiosqlite.Connection(lambda: raw, iter_chunk_size=64)

    engine = create_async_engine(
        "sqlite+aiosqlite://",
        async_creator=connect,
        poolclass=StaticPool,
    )
    begin_explicitly(engine.sync_engine)
    return engine
