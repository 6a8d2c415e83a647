"""A database of a test's own: real commits, many connections, threads, processes, DDL."""

import time
from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, ExceptionContext, event
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from tests.isolation.config import Isolation
from tests.isolation.difference import Difference, difference
from tests.isolation.postgresql import PostgresqlDatabase
from tests.isolation.report import VerdictError, timed, timings
from tests.isolation.sqlite_file import SqliteFile
from tests.isolation.transactions import control_directly
from tests.isolation.validation import Check, Report, validate

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}


# What each kind of database does in its own way: short steps on connections of their own.
Storage = PostgresqlDatabase | SqliteFile


class LeakedConnectionError(VerdictError):
    """A test did not give a connection back."""


LEAKED = (
    "the test left {} connections of isolated_database open;"
    " use `with database.session()` and `with database.engine.connect()`"
)


class IsolatedDatabase:
    """A migrated database that belongs to one test.

    Attributes:
        engine: Connects to it, as many times as you like.
        url: Where it is, for other processes.
    """

    def __init__(self, storage: Storage, isolation: Isolation) -> None:
        """Tell where it is kept; nothing connects yet."""
        self.storage = storage
        self.isolation = isolation
        self.connect()

    def connect(self) -> None:
        """Make the engine for the present URL; nothing connects yet."""
        self.url = self.storage.url
        self.engine = make_engine(self.url)
        self.session_maker = async_sessionmaker(self.engine, expire_on_commit=False)

    def session(self) -> AsyncSession:
        """Return a new session: `async with database.session() as session`."""
        return self.session_maker()

    async def renew(self) -> None:
        """Make it a migrated, otherwise empty database again, for the next test.

        Raises:
            LeakedConnectionError: The test still holds some connections.
        """
        held = self.held()
        self.storage.forget_snapshots()
        started = time.perf_counter()
        needed = self.storage.renew(is_in_use=held > 0)
        timings[f"{self.storage.kind} reset ({needed})"].append(time.perf_counter() - started)
        if self.url != self.storage.url:
            await self.engine.dispose()
            self.connect()
        if held:
            raise LeakedConnectionError(LEAKED.format(held))

    async def close(self) -> None:
        """Close the engine's connections.

        Raises:
            LeakedConnectionError: The test still holds some.
        """
        if held := self.held():
            raise LeakedConnectionError(LEAKED.format(held))
        await self.engine.dispose()

    def held(self) -> int:
        """Return how many of the engine's connections are in use."""
        return int(self.engine.pool.checkedout())  # type: ignore[attr-defined]

    async def let_go(self) -> None:
        """Close the engine's connections, where the database has to be alone."""
        if self.storage.is_exclusive:
            await self.engine.dispose()

    async def reset(self) -> None:
        """Go back to the migrated, otherwise empty state."""
        await self.let_go()
        self.storage.reset()

    async def snapshot(self, name: str) -> None:
        """Keep the present state under a name. End all transactions before."""
        await self.let_go()
        with timed(f"{self.storage.kind} snapshot"):
            self.storage.snapshot(name)

    async def restore(self, name: str) -> None:
        """Go back to a state that was kept, sequences included. End all transactions before.

        Raises:
            KeyError: There is no snapshot of this name.
        """
        await self.let_go()
        with timed(f"{self.storage.kind} restore"):
            self.storage.restore(name)

    async def diff(self, before: str, after: str) -> Difference:
        """Return the rows that were added, removed and changed between two snapshots, by table.

        Raises:
            KeyError: There is no snapshot of this name.
        """
        with self.storage.opened(before) as old, self.storage.opened(after) as new:
            return difference(old, new)

    async def seed(self, scenario: str, scale_factor: int = 1) -> None:
        """Fill the database with one of the service's scenarios, and commit.

        Raises:
            ValueError: There is no such scenario.
        """
        if self.isolation.seed is None:
            raise ValueError("there are no scenarios: give Isolation a seed function")
        with timed(f"{self.storage.kind} seed"), self.storage.connected() as connection:
            self.isolation.seed(connection, scenario, scale_factor)
            connection.commit()

    async def validate(self, *checks: Check) -> Report:
        """Tell whether the committed state is sound, by the checks of `validation.py` and these."""
        heads = ScriptDirectory.from_config(self.isolation.alembic).get_heads()
        with timed(f"{self.storage.kind} validation"), self.storage.connected() as connection:
            return validate(connection, heads=heads, checks=checks)


def make_shared_engine(url: URL) -> AsyncEngine:
    """Return an engine for `db_session` on PostgreSQL: its transactions begin with a savepoint.

    The driver says nothing by itself, so that one message can say all of it.
    """
    engine = create_async_engine(
        url.set(drivername=DRIVERS["postgresql"]),
        isolation_level="AUTOCOMMIT",
    )

    def say(connection: Connection, statement: str) -> None:
        cursor = connection.connection.cursor()
        cursor.execute(statement)
        cursor.close()

    control_directly(engine.sync_engine, say, begin=["BEGIN; SAVEPOINT isolation"])
    return engine


def make_engine(url: URL) -> AsyncEngine:
    """Return an engine with a pool, as a service has one."""
    backend = url.get_backend_name()
    engine = create_async_engine(url.set(drivername=DRIVERS[backend]))
    if backend == "sqlite":

        @event.listens_for(engine.sync_engine, "connect")
        def configure(connection: Any, _: object) -> None:
            connection.isolation_level = None
            cursor = connection.cursor()
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.close()

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        @event.listens_for(engine.sync_engine, "handle_error")
        def roll_back(error: ExceptionContext) -> None:
            # A COMMIT that fails leaves the transaction open, which SQLAlchemy takes for ended.
            if error.connection is not None and error.statement is None:
                error.connection.connection.rollback()

    return engine
