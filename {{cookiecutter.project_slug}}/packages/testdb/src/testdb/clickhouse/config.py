"""`Clickhouse`: what testdb needs to know about a service's ClickHouse."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from alembic.config import Config
from clickhouse_connect.driver.client import Client
from sqlalchemy import URL, Connection

from ..validation import Finding

# Loads a scenario, by its name and scale factor, through the client.
Seed = Callable[[Client, str, int], object]

# Notes in the transactional database what ClickHouse was sent of a scenario, in the transaction of
# the connection.
Outbox = Callable[[Connection, str, int], object]

# Compares the transactional database with ClickHouse.
Comparison = Callable[[Connection, Client], Finding]


@dataclass(frozen=True, kw_only=True)
class Clickhouse:
    """How to make ClickHouse databases for tests, and which are out of bounds.

    Attributes:
        alembic: Alembic's configuration. Migrations run on the connection in its attributes, which
            `env.py` must use.
        protected: What no test may open: `chdb` with a folder, or `clickhouse` with a host.
        tables: Names for parts of the schema, each with its tables.
        seed: Loads one of the service's scenarios.
        outbox: Loads what the transactional database remembers of having sent to ClickHouse.
        comparisons: What has to hold between both databases, by name.
    """

    alembic: Config
    protected: Sequence[URL]
    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seed: Seed | None = None
    outbox: Outbox | None = None
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)

    def protect(self) -> None:
        """Guard what is protected."""
        from . import guard

        guard.protect(self.protected)

    def start(self, config: pytest.Config) -> None:
        """Register the fixtures."""
        from . import plugin

        config.pluginmanager.register(plugin, "testdb-clickhouse")
