"""The events of the sample, which tests add and count."""

from clickhouse_connect.driver.client import Client
from testdb.clickhouse import ClickhouseEnvironment

Isolated = tuple[Client, ClickhouseEnvironment]


def add_events(client: Client, count: int = 1) -> None:
    """Insert events."""
    client.command(
        "INSERT INTO events SELECT generateUUIDv4(), toDateTime64('2025-01-01', 6, 'UTC') + number,"
        f" NULL, 'thought.created', generateUUIDv4(), '' FROM numbers({count})"
    )


def count(client: Client, table: str = "events") -> int:
    """Return how many rows there are."""
    return int(str(client.command(f"SELECT count() FROM {table}")))


def tables(client: Client) -> set[str]:
    """Return the names of all tables."""
    return {name for (name,) in client.query("SHOW TABLES").result_rows}
