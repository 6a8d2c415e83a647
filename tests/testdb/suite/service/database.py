"""The service's own engine and session factory, with options of its own."""

import os
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}
BUSY_TIMEOUT_MS = 1234
APPLICATION = "sample-service"

# A service may have chosen either, and tests see what production would.
EXPIRES = bool(os.environ.get("EXPIRE_ON_COMMIT"))


class ServiceSession(AsyncSession):
    """A session of the service's own kind."""


def make_engine(url: URL) -> AsyncEngine:
    """Return the engine for a database."""
    url = url.set(drivername=DRIVERS[url.get_backend_name()])
    if url.get_backend_name() == "postgresql":
        return create_async_engine(
            url,
            pool_size=3,
            pool_pre_ping=True,
            isolation_level="REPEATABLE READ",
            connect_args={"application_name": APPLICATION},
        )
    engine = create_async_engine(url, pool_size=3)

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(engine.sync_engine, "handle_error")
    def roll_back(error: Any) -> None:
        # A COMMIT that fails leaves the transaction open, which SQLAlchemy takes for ended.
        if error.connection is not None and error.statement is None:
            error.connection.connection.rollback()

    return engine


def make_session_maker(engine: AsyncEngine) -> async_sessionmaker[ServiceSession]:
    """Return the factory of the service's sessions."""
    return async_sessionmaker(engine, class_=ServiceSession, expire_on_commit=EXPIRES)
