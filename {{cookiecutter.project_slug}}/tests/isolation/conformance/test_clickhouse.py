"""A ClickHouse database of a test's own: what it may do, and that nothing of it is left."""

import pytest
from clickhouse_connect.driver.client import Client

from tests.isolation.clickhouse.environment import ClickhouseEnvironment

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# The same test several times: whichever runs later would see what an earlier one left.
twice = pytest.mark.parametrize("run", [1, 2])


def add_events(client: Client, count: int = 1) -> None:
    """Insert events."""
    client.command(
        "INSERT INTO events SELECT generateUUIDv4(), toDateTime64('2025-01-01', 6, 'UTC') + number,"
        f" NULL, 'thought.created', generateUUIDv4(), '' FROM numbers({count})"
    )


def count_events(client: Client) -> int:
    """Return how many events there are."""
    return int(str(client.command("SELECT count() FROM events")))


@twice
def test_rows_are_gone_afterwards(
    isolated_clickhouse: tuple[Client, ClickhouseEnvironment],
    run: int,
) -> None:
    client, _ = isolated_clickhouse
    before = count_events(client)

    add_events(client, 3)

    assert (before, count_events(client)) == (0, 3)
