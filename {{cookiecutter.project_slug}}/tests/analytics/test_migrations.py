"""The revisions of ClickHouse, put to migrator's ready-made tests."""

from collections.abc import Iterator

import pytest
from migrator.clickhouse import ClickHouse
from migrator.testing import (
    Rows,
    test_every_downgrade_restores_the_schema,
    test_every_downgrade_runs_with_rows,
    test_every_revision_has_a_downgrade_or_says_why_not,
    test_rows_survive_every_revision,
    test_the_history_is_linear,
    test_the_linter_finds_nothing,
    test_there_is_one_head,
)
from sqlalchemy import URL

from placeholder_service import migrate

from tests.isolation.clickhouse.server import ClickhouseServer
from tests.isolation.server import PREFIX

__all__ = [
    "test_every_downgrade_restores_the_schema",
    "test_every_downgrade_runs_with_rows",
    "test_every_revision_has_a_downgrade_or_says_why_not",
    "test_rows_survive_every_revision",
    "test_the_history_is_linear",
    "test_the_linter_finds_nothing",
    "test_there_is_one_head",
]

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROWS = {
    "0001": [
        """
        INSERT INTO events (event_id, occurred_at, user_id, name, entity_id, properties)
        SELECT generateUUIDv4(), now64(6), NULL, 'thought.created', generateUUIDv4(), '{}'
        FROM numbers(3)
        """,
        "INSERT INTO metrics (name, bucket, value) VALUES ('thought.created', now(), 3)",
    ],
}


@pytest.fixture
def migrations() -> ClickHouse:
    """The migrations of ClickHouse."""
    return migrate.analytics()


@pytest.fixture
def empty_database(clickhouse_server: ClickhouseServer) -> Iterator[URL]:
    """An empty database on the ClickHouse of the tests."""
    name = f"{PREFIX}{clickhouse_server.run}_migrations"
    clickhouse_server.create(name)
    place = clickhouse_server.arguments
    if "path" in place:
        yield URL.create("chdb", database=place["path"], query={"database": name})
    else:
        yield URL.create("clickhouse", **place, database=name)
    clickhouse_server.drop(name)


@pytest.fixture
def rows() -> Rows:
    """Rows to insert once a revision is applied."""
    return ROWS
