"""A database of a test's own: real commits, many connections, threads, processes, DDL."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from tests.isolation.config import Isolation
from tests.isolation.difference import Difference, difference
from tests.isolation.report import VerdictError, timed
from tests.isolation.validation import Check, Report, validate

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}


class Storage(Protocol):
    """What each kind of database does in its own way: short steps on connections of their own."""

    url: URL

    kind: str

    def reset(self) -> str:
        """Put back the migrated, otherwise empty state; say what was needed for it."""

    def snapshot(self, name: str) -> None:
        """Keep the present state under a name."""

    def restore(self, name: str) -> None:
        """Go back to a state that was kept."""

    def connected(self) -> AbstractContextManager[Connection]:
        """Give a connection to the database."""

    def opened(self, name: str) -> AbstractContextManager[Connection]:
        """Give a connection to a state that was kept, to read from."""

    def forget_snapshots(self) -> None:
        """Drop all states that were kept."""

    def keep(self) -> str:
        """Copy the present state to where it outlives the run; return the command to open it."""


class LeakedConnectionError(VerdictError):
    """A test did not give a connection back."""


class IsolatedDatabase:
    """A migrated database that belongs to one test.

    Attributes:
        engine: Connects to it, as many times as you like.
        url: Where it is, for other processes.
    """

    def __init__(self, storage: Storage, isolation: Isolation) -> None:
        """Make the engine; nothing connects yet."""
        self.storage = storage
        self.url = storage.url
        self.engine = make_engine(storage.url)
        self.session_maker = async_sessionmaker(self.engine, expire_on_commit=False)
        self.isolation = isolation

    def session(self) -> AsyncSession:
        """Return a new session: `async with database.session() as session`."""
        return self.session_maker()

    async def close(self) -> None:
        """Close the engine's connections.

        Raises:
            LeakedConnectionError: The test still holds some.
        """
        if held := self.engine.pool.checkedout():  # type: ignore[attr-defined]
            raise LeakedConnectionError(
                f"the test left {held} connections of isolated_database open;"
                " use `with database.session()` and `with database.engine.connect()`"
            )
        await self.engine.dispose()

    async def reset(self) -> None:
        """Go back to the migrated, otherwise empty state."""
        await self.engine.dispose()
        self.storage.reset()

    async def snapshot(self, name: str) -> None:
        """Keep the present state under a name. Open connections are closed for it."""
        await self.engine.dispose()
        with timed(f"{self.storage.kind} snapshot"):
            self.storage.snapshot(name)

    async def restore(self, name: str) -> None:
        """Go back to a state that was kept, sequences included.

        Raises:
            KeyError: There is no snapshot of this name.
        """
        await self.engine.dispose()
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

    return engine
