"""A database that belongs to one test: real commits, many connections, threads, processes, DDL."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from copy import copy
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.orm import Session

from .config import Isolation, sync_engine_of
from .connections import Connections
from .difference import Difference, difference
from .migrations import heads
from .report import IsolationReport
from .validation import Check, Report, rows_by_table, size, validate, version
from .verdicts import LateUseError, LeakedConnectionError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from .postgresql.database import PostgresqlDatabase
    from .sqlite.file import SqliteFile

# The schema with everything that migrations make.
FULL = "full"


class IsolatedDatabase:
    """A migrated database that belongs to one test.

    For an asynchronous service, `testdb.asyncio` has the same with `await`.

    Attributes:
        engine: The service's own engine, on this database.
        url: Where it is, for other processes.
        test_id: Whose it is; the name of a requested database contains it.
    """

    engine: Engine
    url: URL

    def __init__(
        self,
        storage: "PostgresqlDatabase | SqliteFile",
        isolation: Isolation[Any],
        report: IsolationReport,
        *,
        test_id: str = "",
        schema: str = FULL,
    ) -> None:
        """Make the service's engine for a database that is there; nothing connects yet."""
        self.storage = storage
        self.isolation = isolation
        self.report = report
        self.test_id = test_id
        self.schema = schema
        self.is_renewed = True
        self.open_engine()

    @cached_property
    def heads(self) -> Sequence[str]:
        """The revisions it should be at."""
        # A part of the schema is made from the models, and no migration is applied.
        return heads(self.isolation.configuration) if self.schema == FULL else ()

    def open_engine(self) -> None:
        """Make the service's engine for the present URL."""
        self.url = self.storage.url
        self.engine = self.isolation.make_engine(self.url)  # type: ignore[assignment]
        self.sessions = self.isolation.make_sessions(self.engine)
        self.storage.watch(sync_engine_of(self.engine))
        self.connections = Connections(sync_engine_of(self.engine))

    @property
    def database(self) -> "IsolatedDatabase":
        """The database itself."""
        return self

    def session(self) -> Session:
        """Return a new session: `with database.session() as session`."""
        session: Session = self.sessions(bind=self.engine)
        return session

    @contextmanager
    def lent_to(self, test: str) -> Iterator["IsolatedDatabase"]:
        """Give it to a test with an engine of the same pool, which does not connect afterwards."""
        lent = copy(self)
        lent.engine = self.engine.execution_options()
        try:
            yield lent
        finally:
            # Each connection of an engine comes from this method.
            vars(sync_engine_of(lent.engine))["raw_connection"] = partial(refuse, test)

    def renew(self) -> None:
        """Go back to the first state for the next test, or say that connections are still open."""
        self.is_renewed = False
        leaked = len(self.connections.in_use)
        self.forget_snapshots()
        started = time.perf_counter()
        if not leaked:
            self.forget_settings()
        needed = self.storage.renew(is_in_use=leaked > 0)
        self.report.add(f"{self.storage.kind} reset ({needed})", started)
        if needed == "spare" or (needed == "schema" and not self.connections.prepare_nothing):
            # Its connections may have prepared statements for tables that are gone.
            sync_engine_of(self.engine).dispose()
        if self.url != self.storage.url:
            self.open_engine()
        self.is_renewed = True
        if leaked:
            raise LeakedConnectionError(leaked)

    def require_renewed(self) -> None:
        """Go back to the first state if that failed after the last test, or fail again."""
        if not self.is_renewed:
            # What is open still is not this test's.
            with suppress(LeakedConnectionError):
                self.renew()

    def forget_settings(self) -> None:
        """Give the next test connections on which nothing is set that the service did not set."""
        engine, used = sync_engine_of(self.engine), self.connections.take_used()
        if not (
            self.connections.are_as_opened(used) and self.storage.forget_settings(engine, used)
        ):
            engine.dispose()

    def close(self) -> None:
        """Close the engine's connections, unless the test has not returned all of them."""
        if self.connections.in_use:
            raise LeakedConnectionError(len(self.connections.in_use))
        sync_engine_of(self.engine).dispose()

    @contextmanager
    def connected(self, step: str) -> Iterator[Connection]:
        """Give a connection for a step that is measured."""
        timed = self.report.timed(f"{self.storage.kind} {step}")
        with timed, self.storage.connected() as connection:
            yield connection

    @contextmanager
    def alone(self, step: str) -> Iterator[None]:
        """Measure a step for which the engine's connections are closed if they were in its way."""
        if self.storage.is_exclusive:
            sync_engine_of(self.engine).dispose()
        with self.report.timed(f"{self.storage.kind} {step}"):
            yield

    def reset(self) -> None:
        """Go back to the first state."""
        with self.alone("reset"):
            self.storage.reset()

    def snapshot(self, name: str) -> None:
        """Keep the present state under a name. End all transactions before."""
        with self.alone("snapshot"):
            self.storage.snapshot(name)

    def restore(self, name: str) -> None:
        """Go back to a snapshot, sequences included. End all transactions before.

        Raises:
            KeyError: There is no snapshot of this name.
        """
        with self.alone("restore"):
            self.storage.restore(name)

    def forget_snapshots(self) -> None:
        """Drop all snapshots."""
        self.storage.forget_snapshots()

    def diff(self, before: str, after: str) -> Difference:
        """Return the rows that were added, removed and changed between two snapshots, by table.

        Raises:
            KeyError: There is no snapshot of this name.
        """
        with self.storage.opened(before) as old, self.storage.opened(after) as new:
            return difference(old, new)

    def seed(self, scenario: str, scale_factor: int = 1) -> None:
        """Fill the database with one of the service's scenarios, and commit.

        Raises:
            ValueError: There is no such scenario.
        """
        load = self.isolation.scenarios
        with self.connected("seed") as connection:
            load(connection, scenario, scale_factor)
            connection.commit()

    def validate(self, *checks: Check[Connection]) -> Report:
        """Check connection, schema, data, performance and isolation of the committed state."""
        with self.connected("validation") as connection:
            return validate(connection, heads=self.heads, checks=checks)

    def info(self) -> dict[str, Any]:
        """Return name, server version, size in bytes, rows of each table, and snapshots."""
        with self.storage.connected() as connection:
            return {
                "name": self.storage.name,
                "version": version(connection),
                "bytes": size(connection),
                "rows": rows_by_table(connection),
                "snapshots": list(self.storage.snapshots),
            }

    def create_snapshot(self, engine: "Engine | AsyncEngine", name: str) -> str:
        """Keep the present state and return the id to restore it by.

        The engine's connections are closed for it: commit or close its sessions first.
        """
        sync_engine_of(engine).dispose()
        snapshot_id = f"{name}-{len(self.storage.snapshots)}"
        self.snapshot(snapshot_id)
        return snapshot_id

    # The names that a database opened by `with_isolated_postgres` had before.
    restore_snapshot = restore
    validate_database_state = validate
    get_database_info = info
    cleanup_databases = forget_snapshots


def refuse(test: str) -> NoReturn:
    """Refuse a connection after a test."""
    raise LateUseError(test)


class OpenDatabase(Protocol):
    """Opens PostgreSQL databases: `with open_database("name") as (session, database)`."""

    def __call__(
        self, name: str, schema: str = FULL, scenario: str | None = None
    ) -> AbstractContextManager[tuple[Session, IsolatedDatabase]]:
        """Open one with a schema of `Isolation.schemas` or all tables, and with a scenario."""


class OpenSnapshot(Protocol):
    """Restores `isolated_database` at the end of a block: `with open_snapshot("name")`."""

    def __call__(self, name: str) -> AbstractContextManager[IsolatedDatabase]:
        """Begin the block."""
