"""ClickHouse databases and what can be asked of them, alone or together with PostgreSQL."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from alembic.script import ScriptDirectory
from clickhouse_connect.driver.client import Client
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from ..database import FULL, IsolatedDatabase
from ..report import IsolationReport
from ..signature import PREFIX, identify
from ..validation import Check, Report, in_order
from .config import Clickhouse
from .database import ClickhouseDatabase, engine_on
from .server import ClickhouseServer
from .validation import answer, rows_by_table, size, validate_clickhouse

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass
class ClickhouseEnvironment:
    """A ClickHouse database, and what can be asked of it.

    Attributes:
        test_id: Whose it is.
        client: The test's client.
        tables: The name of its set of tables.
    """

    test_id: str
    database: ClickhouseDatabase
    client: Client
    clickhouse: Clickhouse
    report: IsolationReport
    tables: str = FULL

    def connect(self) -> Client:
        """Return another client, for another thread or with settings of its own. Close it."""
        return self.database.server.connect(self.database.name)

    def create_snapshot(self, name: str) -> str:
        """Keep the present state and return the id to restore it by."""
        snapshot_id = f"{name}-{len(self.database.snapshots)}"
        with self.report.timed("clickhouse snapshot"):
            self.database.snapshot(snapshot_id)
        return snapshot_id

    def restore_snapshot(self, snapshot_id: str) -> None:
        """Go back to a state that was kept."""
        with self.report.timed("clickhouse restore"):
            self.database.restore(snapshot_id)

    def seed(self, scenario: str, scale_factor: int = 1) -> None:
        """Fill the database with one of the service's scenarios.

        Raises:
            ValueError: There is no such scenario.
        """
        if self.clickhouse.seed is None:
            raise ValueError("there are no scenarios: give Clickhouse a seed function")
        with self.report.timed("clickhouse seed"):
            self.clickhouse.seed(self.client, scenario, scale_factor)

    def validate_database_state(self, *checks: Check[Client]) -> Report:
        """Look whether connection, schema, data, performance and isolation are in order."""
        engine = engine_on(self.database.server, self.database.name)
        # A part of the schema is at no revision.
        scripts = ScriptDirectory.from_config(self.clickhouse.alembic)
        heads = scripts.get_heads() if self.tables == FULL else ()
        with self.report.timed("clickhouse validation"):
            return validate_clickhouse(self.client, engine, heads=heads, checks=checks)

    def get_database_info(self) -> dict[str, Any]:
        """Return name, server version, size in bytes, rows of each table, and snapshots."""
        return {
            "name": self.database.name,
            "version": self.client.server_version,
            "bytes": size(self.client),
            "rows": rows_by_table(self.client),
            "snapshots": list(self.database.snapshots),
        }

    def cleanup_databases(self) -> None:
        """Drop the states that were kept; the database itself goes when the test is over."""
        self.database.forget_snapshots()


@dataclass
class FullStackEnvironment:
    """A PostgreSQL and a ClickHouse database, handled as one.

    Attributes:
        test_id: Whose they are.
        snapshots: The ids of the states that were kept, each with those of both databases.
    """

    test_id: str
    postgres: IsolatedDatabase
    clickhouse: ClickhouseEnvironment
    snapshots: dict[str, tuple[str, str]] = field(default_factory=dict)

    def create_snapshot(self, engine: "Engine | AsyncEngine", name: str) -> str:
        """Keep the present state of both and return the id to restore it by.

        The engine's connections are closed for it: commit or close its sessions first.
        """
        kept = self.clickhouse.create_snapshot(name)
        snapshot_id = f"{name}-{len(self.snapshots)}"
        self.snapshots[snapshot_id] = (self.postgres.create_snapshot(engine, name), kept)
        return snapshot_id

    def restore_snapshot(self, snapshot_id: str) -> None:
        """Go back to a state that was kept, in both."""
        postgres, clickhouse = self.snapshots[snapshot_id]
        self.postgres.restore_snapshot(postgres)
        self.clickhouse.restore_snapshot(clickhouse)

    def seed(self, scenario: str, scale_factor: int = 1) -> None:
        """Fill both with one of the service's scenarios, and commit."""
        self.postgres.seed(scenario, scale_factor)
        self.clickhouse.seed(scenario, scale_factor)
        if (remember := self.clickhouse.clickhouse.outbox) is not None:
            with self.postgres.storage.connected() as connection:
                remember(connection, scenario, scale_factor)
                connection.commit()

    def validate_database_state(self) -> Report:
        """Look whether each is in order, and whether they tell the same."""
        reports = {
            "postgresql": self.postgres.validate_database_state(),
            "clickhouse": self.clickhouse.validate_database_state(),
        }
        findings = {
            (category, f"{engine}: {name}"): finding
            for engine, report in reports.items()
            for (category, name), finding in report.findings.items()
        }
        with self.postgres.storage.connected() as connection:
            for name, compare in self.clickhouse.clickhouse.comparisons.items():
                finding = answer(compare, connection, self.clickhouse.client)
                findings["data", f"both: {name}"] = finding
        return in_order(findings)

    def get_database_info(self) -> dict[str, Any]:
        """Return the same of each, and the snapshots of both."""
        return {
            "postgresql": self.postgres.get_database_info(),
            "clickhouse": self.clickhouse.get_database_info(),
            "snapshots": list(self.snapshots),
        }

    def cleanup_databases(self) -> None:
        """Drop the states that were kept; the databases go when the test is over."""
        self.postgres.cleanup_databases()
        self.clickhouse.cleanup_databases()
        self.snapshots.clear()


class FullStack(TypedDict):
    """Both databases of a test."""

    postgres_session: Session
    clickhouse_client: Client
    clickhouse_database: str
    config: FullStackEnvironment


class OpenClickhouse(Protocol):
    """Opens ClickHouse databases: `with open_clickhouse("name") as (client, database)`."""

    def __call__(
        self, name: str, tables: str = FULL
    ) -> AbstractContextManager[tuple[Client, ClickhouseEnvironment]]:
        """Open one with a set of `Clickhouse.tables`, or all of them."""


@contextmanager
def open_clickhouse(
    server: ClickhouseServer,
    clickhouse: Clickhouse,
    report: IsolationReport,
    template: str,
    name: str,
    tables: str = FULL,
) -> Iterator[tuple[Client, ClickhouseEnvironment]]:
    """Give a client on a new database, and the environment around it; drop both in the end."""
    wanted = tables_of(clickhouse, tables)
    test_id = identify(name)
    with report.timed("clickhouse creation"):
        database = ClickhouseDatabase(server, f"{PREFIX}{test_id}", template, wanted)
    try:
        with closing(server.connect(database.name)) as client:
            yield (
                client,
                ClickhouseEnvironment(test_id, database, client, clickhouse, report, tables),
            )
    finally:
        with report.timed("clickhouse clean-up"):
            database.close()


def tables_of(clickhouse: Clickhouse, name: str) -> Sequence[str] | None:
    """Return the tables of a set; None for all.

    Raises:
        ValueError: There is no set of this name.
    """
    if name == FULL:
        return None
    if name not in clickhouse.tables:
        known = ", ".join([FULL, *clickhouse.tables])
        raise ValueError(f"there are no tables {name!r}; there are: {known}")
    return clickhouse.tables[name]
