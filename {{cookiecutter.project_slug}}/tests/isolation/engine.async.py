"""The engine of `db_session` on SQLite: one connection that stays open."""

import sqlite3

import aiosqlite
from sqlalchemy import StaticPool
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.isolation.sqlite import control


def make_memory_engine(raw: sqlite3.Connection) -> AsyncEngine:
    """Return an engine that always uses `raw`, so that what is restored there is what it sees."""
    # The setting outlives a restore.
    raw.execute("PRAGMA foreign_keys = ON")

    async def connect() -> aiosqlite.Connection:
        return await aiosqlite.Connection(lambda: raw, iter_chunk_size=64)

    engine = create_async_engine(
        "sqlite+aiosqlite://",
        async_creator=connect,
        poolclass=StaticPool,
        # Restoring the image does it.
        pool_reset_on_return=None,
    )
    control(engine.sync_engine, raw)
    return engine
