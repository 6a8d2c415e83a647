"""A stand-in until the isolation has the fixture of this name."""

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

TABLES = (
    """
    CREATE TABLE events (
        event_id UUID, occurred_at DateTime64(6, 'UTC'), user_id Nullable(UUID),
        name LowCardinality(String), entity_id UUID, properties String
    ) ENGINE = ReplacingMergeTree ORDER BY (toDate(occurred_at), event_id)
    """,
    """
    CREATE TABLE metrics (
        name LowCardinality(String), bucket DateTime('UTC'), value Float64
    ) ENGINE = ReplacingMergeTree ORDER BY (name, bucket)
    """,
)


@pytest.fixture(scope="session")
def clickhouse_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client on a chdb folder."""
    import clickhouse_connect

    folder = tmp_path_factory.mktemp("clickhouse")
    client = clickhouse_connect.get_client(interface="chdb", path=str(folder), database="default")
    for table in TABLES:
        client.command(table)
    yield client
    client.close()


@pytest.fixture
def isolated_clickhouse(clickhouse_folder: Client) -> tuple[Client, object]:
    """An empty ClickHouse with the tables of the service, and what is known of it."""
    for name in ("events", "metrics"):
        clickhouse_folder.command(f"TRUNCATE TABLE {name}")
    return clickhouse_folder, None
