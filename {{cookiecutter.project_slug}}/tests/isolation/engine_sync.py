"""Engines of the session style: that of `db_session` on SQLite, and how to close any."""

import sqlite3

from sqlalchemy import Engine, StaticPool, create_engine

from tests.isolation.sqlite import control


def dispose(engine: Engine) -> None:
    """Close the connections that an engine keeps."""
    engine.dispose()


def make_memory_engine(raw: sqlite3.Connection) -> Engine:
    """Return an engine that always uses `raw`, so that what is restored there is what it sees."""
    # The setting outlives a restore.
    raw.execute("PRAGMA foreign_keys = ON")
    engine = create_engine(
        "sqlite://",
        creator=lambda: raw,
        poolclass=StaticPool,
        # Restoring the image does it.
        pool_reset_on_return=None,
    )
    control(engine, raw)
    return engine
