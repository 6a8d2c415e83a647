"""What the isolation has to be told about a service's ClickHouse."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from alembic.config import Config
from clickhouse_connect.driver.client import Client
from sqlalchemy import URL, Connection

from tests.isolation.validation import Finding

# Loads a scenario, by its name and scale factor, through the client.
Seed = Callable[[Client, str, int], object]

# Tells the transactional database what ClickHouse was told of a scenario, in the transaction of the
# connection.
Outbox = Callable[[Connection, str, int], object]

# Compares the transactional database with ClickHouse.
Comparison = Callable[[Connection, Client], Finding]


@dataclass(frozen=True)
class Clickhouse:
    """How to make ClickHouse databases for tests, and which are out of bounds.

    Attributes:
        alembic: Alembic's configuration; migrations run with it on the connection that is put
            into its attributes.
        protected: What no test may open: `chdb` with a folder, or `clickhouse` with a host.
        tables: Names for parts of the schema, each with its tables.
        seed: Loads one of the service's scenarios.
        outbox: Loads what the transactional database remembers of having told ClickHouse.
        comparisons: What has to hold between both databases, by name.
    """

    alembic: Config
    protected: tuple[URL, ...]
    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seed: Seed | None = None
    outbox: Outbox | None = None
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
