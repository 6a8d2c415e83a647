"""Engines of the session style: that of `db_session` on SQLite, and how to close any."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import aiosqlite
from sqlalchemy import Engine, StaticPool
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.isolation.sqlite import control


def dispose(engine: Engine) -> None:
    """Close the connections that an engine keeps, asynchronous ones as well."""
    if not engine.dialect.is_async:
        engine.dispose()
        return
    # In a thread, where no event loop can be running.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(AsyncEngine(engine).dispose())).result()


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
