"""Tests that other tests run in a process of their own, to kill or to look at."""

import os
import time
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

Isolated = tuple[Client, object]

ADD_METRIC = "INSERT INTO metrics VALUES ('one', '2025-01-01', 1)"


@pytest.mark.parametrize("number", [1, 2])
def test_waits_to_be_killed(isolated_clickhouse: Isolated, number: int) -> None:
    client, _ = isolated_clickhouse
    client.command(ADD_METRIC)
    Path(os.environ["VICTIM_FOLDER"], str(client.database)).touch()
    time.sleep(600)


def test_adds_a_metric(isolated_clickhouse: Isolated) -> None:
    client, _ = isolated_clickhouse
    client.command(ADD_METRIC)


def test_fails_with_a_metric(isolated_clickhouse: Isolated) -> None:
    client, _ = isolated_clickhouse
    client.command(ADD_METRIC)
    raise AssertionError("on purpose")


def test_leaves_a_database(isolated_clickhouse: Isolated) -> None:
    client, _ = isolated_clickhouse
    client.command("CREATE DATABASE left_over")


def test_leaves_a_result_unread(isolated_clickhouse: Isolated) -> None:
    client, _ = isolated_clickhouse
    stream = client.query_rows_stream("SELECT number FROM numbers(10000000)")
    test_leaves_a_result_unread.kept = stream  # type: ignore[attr-defined]


def test_finds_nothing(isolated_clickhouse: Isolated) -> None:
    client, _ = isolated_clickhouse
    assert client.command("SELECT count() FROM metrics") == 0
    assert client.command("EXISTS DATABASE left_over") == 0
