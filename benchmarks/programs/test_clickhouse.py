"""Fills ClickHouse with the `analytics` scenario, and goes back. The same in both styles."""

import pytest
from clickhouse_connect.driver.client import Client
from my_service.analytics import relay
from testdb.clickhouse import ClickhouseEnvironment
from tests.bench.timing import REPEATS, timed, write
from tests.fixtures import events as scenario

rows: list[int] = []


@pytest.mark.parametrize("number", REPEATS)
def test_states(isolated_clickhouse: tuple[Client, ClickhouseEnvironment], number: int) -> None:
    client, config = isolated_clickhouse
    with timed("query"):
        client.query("SELECT 1")
    with timed("seed"):
        config.seed("analytics")
    events, metrics = (client.command(f"SELECT count() FROM {t}") for t in ("events", "metrics"))
    rows.append(events + metrics)
    with timed("snapshot"):
        filled = config.create_snapshot("filled")
    with timed("truncate"):
        client.command("TRUNCATE TABLE events")
    with timed("restore"):
        config.restore_snapshot(filled)
    assert client.command("SELECT count() FROM events") == events
    send(client)
    assert client.command("SELECT count() FROM events") == events


def send(client: Client) -> None:
    """Send the events and count their days as seeding does, but encoded before."""
    encoded = client.raw_query("SELECT * FROM events", fmt="Native")
    client.command("TRUNCATE TABLE events")
    client.command("TRUNCATE TABLE metrics")
    days = relay.days_of(scenario.rows("analytics"))
    with timed("encoded"):
        client.raw_insert("events", insert_block=encoded, fmt="Native")
        relay.count_days(client, days)


@pytest.mark.parametrize("number", REPEATS)
def test_reset(isolated_clickhouse: tuple[Client, ClickhouseEnvironment], number: int) -> None:
    client, config = isolated_clickhouse
    client.command("INSERT INTO metrics VALUES ('visits', '2025-01-01', 1)")
    with timed("reset"):
        config.database.reset()
    assert client.command("SELECT count() FROM metrics") == 0


@pytest.mark.parametrize("number", REPEATS)
def test_reset_of_nothing(
    isolated_clickhouse: tuple[Client, ClickhouseEnvironment], number: int
) -> None:
    client, config = isolated_clickhouse
    assert client.command("SELECT count() FROM metrics") == 0
    with timed("reset of nothing"):
        config.database.reset()
    write(rows=rows)
