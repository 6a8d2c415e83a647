"""Snapshots of a ClickHouse database, and databases on request."""

import threading
from contextlib import closing
from uuid import uuid4

import pytest
from testdb.clickhouse import OpenClickhouse
from testdb.clickhouse.database import ClickhouseDatabase
from testdb.clickhouse.server import ClickhouseServer
from testdb.signature import PREFIX

from tests.clickhouse.events import Isolated, add_events, count, tables

pytestmark = pytest.mark.slow


# Snapshots


def test_snapshots_are_restored_in_any_order(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse
    empty = config.create_snapshot("state")
    add_events(client, 2)
    two = config.create_snapshot("state")
    add_events(client)
    client.command("DROP TABLE metrics")
    without_metrics = config.create_snapshot("state")

    counts = []
    for snapshot in (two, empty, without_metrics, empty, two):
        config.restore_snapshot(snapshot)
        counts.append((count(client), "metrics" in tables(client)))

    assert counts == [(2, True), (0, True), (3, False), (0, True), (2, True)]
    assert len({empty, two, without_metrics}) == 3


def test_tables_made_since_a_snapshot_are_gone(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse
    before = tables(client)
    add_events(client)
    snapshot = config.create_snapshot("one event")
    client.command("CREATE TABLE later (id UInt8) ENGINE = MergeTree ORDER BY id")
    client.command("DROP TABLE events")

    config.restore_snapshot(snapshot)

    assert tables(client) == before
    assert count(client) == 1


def test_an_emptied_table_is_empty_in_a_snapshot(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse
    add_events(client)
    client.command("DELETE FROM events WHERE 1")
    snapshot = config.create_snapshot("deleted")
    add_events(client, 2)

    config.restore_snapshot(snapshot)

    assert count(client) == 0


def test_a_snapshot_can_be_made_again(own_database: ClickhouseDatabase) -> None:
    with closing(own_database.server.connect(own_database.name)) as client:
        own_database.snapshot("state")
        add_events(client)
        own_database.snapshot("state")
        add_events(client)

        own_database.restore("state")

        assert count(client) == 1


def test_an_unknown_snapshot_is_an_error(isolated_clickhouse: Isolated) -> None:
    _, config = isolated_clickhouse

    with pytest.raises(KeyError, match="missing"):
        config.restore_snapshot("missing")


def test_snapshots_can_be_dropped_before_the_test_ends(isolated_clickhouse: Isolated) -> None:
    _, config = isolated_clickhouse
    before = config.database.server.databases().keys()
    snapshot = config.create_snapshot("empty")

    config.cleanup_databases()

    assert config.database.server.databases().keys() == before
    with pytest.raises(KeyError):
        config.restore_snapshot(snapshot)


# Databases on request


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("full", {"alembic_version", "events", "metrics"}),
        ("basic", {"events", "metrics"}),
        ("events", {"events"}),
        ("metrics", {"metrics"}),
    ],
)
def test_a_database_on_request_has_the_tables_asked_for(
    with_isolated_clickhouse: OpenClickhouse,
    clickhouse_server: ClickhouseServer,
    name: str,
    expected: set[str],
) -> None:
    with with_isolated_clickhouse("Some name!", tables=name) as (client, config):
        found = tables(client)
        report = config.validate_database_state()
        database = client.command("SELECT currentDatabase()")

    assert found >= expected if name == "full" else found == expected
    assert report.status == "pass", str(report)
    assert str(database).startswith("test_some_name_")
    assert database not in clickhouse_server.databases()


def test_unknown_tables_are_an_error_that_names_the_known_ones(
    with_isolated_clickhouse: OpenClickhouse,
) -> None:
    def open_it() -> None:
        with with_isolated_clickhouse("part", tables="everything"):
            pass

    with pytest.raises(ValueError, match="there are: full, basic, events, metrics"):
        open_it()


def test_databases_are_open_at_the_same_time_and_do_not_meet(
    isolated_clickhouse: Isolated,
    with_isolated_clickhouse: OpenClickhouse,
) -> None:
    with (
        with_isolated_clickhouse("same name") as (one, _),
        with_isolated_clickhouse("same name") as (other, _),
    ):
        add_events(one)

        assert (count(other), count(isolated_clickhouse[0])) == (0, 0)


def test_threads_have_clients_of_their_own(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse

    def work() -> None:
        with closing(config.connect()) as own:
            add_events(own, 10)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert count(client) == 40


def test_a_database_tells_about_itself(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse
    add_events(client, 5)
    snapshot = config.create_snapshot("five")

    info = config.get_database_info()

    assert info["name"] == client.database
    assert info["version"] == client.server_version
    assert info["rows"] | {"alembic_version": 1, "events": 5, "metrics": 0} == info["rows"]
    assert info["bytes"] > 0
    assert info["snapshots"] == [snapshot]


def test_a_scenario_can_be_loaded(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse

    config.seed("analytics")

    assert count(client) == 200


# Dropping


def test_a_database_that_tests_did_not_make_is_never_dropped(
    clickhouse_server: ClickhouseServer,
) -> None:
    name = f"{PREFIX}{uuid4().hex}"
    clickhouse_server.client.command(f"CREATE DATABASE {name}")

    for database in (name, "default", "system"):
        with pytest.raises(RuntimeError, match="is not a test database"):
            clickhouse_server.drop(database)

    clickhouse_server.client.command(f"DROP DATABASE {name}")
