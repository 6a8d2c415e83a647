"""The revisions of ClickHouse, put to migrator's ready-made tests."""

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client
from migrator.clickhouse import ClickHouse
from migrator.testing import *  # noqa: F403  # the tests
from migrator.testing import Rows
from sqlalchemy import URL
from testdb.clickhouse import ClickhouseEnvironment
from testdb.signature import PREFIX

from placeholder_service import migrate

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROWS = {
    "0001": [
        """
        INSERT INTO events (event_id, occurred_at, user_id, name, entity_id, properties)
        SELECT generateUUIDv4(), now64(6), NULL, 'user.created', generateUUIDv4(), '{}'
        FROM numbers(3)
        """,
        "INSERT INTO metrics (name, bucket, value) VALUES ('user.created', now(), 3)",
    ]
}


@pytest.fixture
def migrations() -> ClickHouse:
    """The migrations of ClickHouse."""
    return migrate.analytics()


@pytest.fixture
def empty_database(isolated_clickhouse: tuple[Client, ClickhouseEnvironment]) -> Iterator[URL]:
    """An empty database on the ClickHouse of the tests."""
    server = isolated_clickhouse[1].database.server
    name = f"{PREFIX}{server.run}_migrations"
    server.create(name)
    place = server.arguments
    if "path" in place:
        yield URL.create("chdb", database=place["path"], query={"database": name})
    else:
        yield URL.create("clickhouse", **place, database=name)
    server.drop(name)


@pytest.fixture
def rows() -> Rows:
    """Rows to insert once a revision is applied."""
    return ROWS
