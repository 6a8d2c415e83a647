"""Whether a ClickHouse database is sound, in the same categories as any other."""

import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, get_args

from alembic.runtime.migration import MigrationContext
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy import Engine

from ..signature import COMMENT
from ..validation import Category, Finding, Report, Status, at_most, none_of
from .state import quoted

# How a check is called, by category and name, and what answers it.
Check = tuple[Category, str, Callable[[Client], Finding]]

# Queries for what must not be: each row is a name and a remark.
PROBLEMS: dict[tuple[Category, str, Status], str] = {
    ("schema", "changes are finished", "fail"): """
        SELECT concat(table, ': ', command), latest_fail_reason FROM system.mutations
        WHERE database = currentDatabase() AND NOT is_done""",
    ("data", "no part is detached", "fail"): """
        SELECT concat(table, '.', name), reason FROM system.detached_parts
        WHERE database = currentDatabase()""",
    ("isolation", "carries the mark", "fail"): f"""
        SELECT 'comment', comment FROM system.databases
        WHERE name = currentDatabase() AND comment NOT LIKE '{COMMENT}%'""",
    ("isolation", "no other query runs", "fail"): """
        SELECT query_id, query FROM system.processes
        WHERE current_database = currentDatabase() AND query_id <> queryID()""",
}


def validate_clickhouse(
    client: Client,
    engine: Engine,
    *,
    heads: Collection[str],
    checks: Iterable[Check] = (),
    slow: float = 100,
    large: int = 2**30,
) -> Report:
    """Return what all checks find, on a client and an engine of the same database.

    `heads` are the revisions that should be applied. Of `checks`, one with the name of another
    replaces it. More than `slow` ms for a trivial query, or `large` bytes, are a warning.
    """
    asked: list[Check] = [
        ("connection", "answers", answers),
        ("schema", "migrations are applied", partial(migrations_are_applied, engine, set(heads))),
        ("data", "rows", rows),
        ("data", "parts are intact", parts_are_intact),
        ("performance", "trivial query", partial(trivial_query, slow)),
        ("performance", "size", partial(size, large)),
    ]
    for (category, name, status), query in PROBLEMS.items():
        asked.append((category, name, partial(finds_nothing, query, status)))
    asked.extend(checks)
    asked.sort(key=lambda check: get_args(Category).index(check[0]))
    return Report({(category, name): answer(ask, client) for category, name, ask in asked})


def answer(ask: Callable[[Client], Finding], client: Client) -> Finding:
    """Run a check; what ClickHouse refuses is a failure."""
    try:
        return ask(client)
    except ClickHouseError as error:
        return Finding("fail", str(error).partition("\n")[0])


def finds_nothing(query: str, status: Status, client: Client) -> Finding:
    """Run one of the queries for problems."""
    return none_of(dict(rows_of(client, query)), status)


def answers(client: Client) -> Finding:
    """Tell the server's version."""
    return Finding("pass", f"clickhouse {client.command('SELECT version()')}")


def migrations_are_applied(engine: Engine, heads: set[str], _client: Client) -> Finding:
    """Compare the revisions of the database with those it should be at."""
    with engine.connect() as connection:
        current = set(MigrationContext.configure(connection).get_current_heads())
    wrong = {name: "expected" if name in heads else "applied" for name in current ^ heads}
    return none_of(wrong) if wrong else Finding("pass", ", ".join(current))


def rows(client: Client) -> Finding:
    """Count the rows of each table."""
    counts = rows_by_table(client)
    return Finding("pass", f"{sum(counts.values())} in {len(counts)} tables", counts)


def rows_by_table(client: Client) -> dict[str, int]:
    """Return how many rows each table has; those that are to replace each other count as well."""
    query = (
        "SELECT name, total_rows FROM system.tables"
        " WHERE database = currentDatabase() AND total_rows IS NOT NULL ORDER BY name"
    )
    return dict(rows_of(client, query))


def parts_are_intact(client: Client) -> Finding:
    """Compare the files of each table with their checksums."""
    check = "CHECK TABLE {} SETTINGS check_query_single_value_result = 1"
    query = (
        "SELECT name FROM system.tables"
        " WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name"
    )
    broken = {
        table: "differs from its checksums"
        for (table,) in rows_of(client, query)
        if not client.command(check.format(quoted(table)))
    }
    return none_of(broken)


def trivial_query(slow: float, client: Client) -> Finding:
    """Measure how long the database takes to answer."""
    started = time.perf_counter()
    client.command("SELECT 1")
    return at_most(slow, round(1000 * (time.perf_counter() - started), 3), "ms")


def size(large: int, client: Client) -> Finding:
    """Measure the space that the tables take."""
    return at_most(large, size_in_bytes(client), "bytes")


def size_in_bytes(client: Client) -> int:
    """Return the space that the tables take."""
    query = "SELECT sum(total_bytes) FROM system.tables WHERE database = currentDatabase()"
    [(size,)] = rows_of(client, query)
    return int(size or 0)


def rows_of(client: Client, query: str) -> list[Any]:
    """Return what a query finds."""
    return list(client.query(query).result_rows)
