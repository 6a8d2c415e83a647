"""Whether a ClickHouse database is sound, in the same categories as any other."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ..signature import COMMENT
from ..validation import (
    LARGE,
    Check,
    Finding,
    Queries,
    Report,
    at_heads,
    at_most,
    checks_of,
    in_order,
    none_of,
    total,
    trivial_query,
)
from .state import quoted

PROBLEMS: Queries = {
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
    checks: Iterable[Check[Client]],
) -> Report:
    """Return what all checks find, on a client and an engine of the same database.

    `heads` and `checks` are those of `validate`.
    """

    def migrations_are_applied(_: Client) -> Finding:
        with engine.connect() as connection:
            return at_heads(connection, heads)

    asked: list[Check[Client]] = [
        ("connection", "answers", answers),
        ("schema", "migrations are applied", migrations_are_applied),
        ("data", "rows", lambda it: total(rows_by_table(it))),
        ("data", "parts are intact", parts_are_intact),
        ("performance", "trivial query", lambda it: trivial_query(it.command)),
        ("performance", "size", lambda it: at_most(LARGE, size(it), "bytes")),
        *checks_of(PROBLEMS, rows_of),
        *checks,
    ]
    return in_order({(category, name): answer(ask, client) for category, name, ask in asked})


def answer(ask: Callable[..., Finding], *sources: Any) -> Finding:
    """Run a check; what a database refuses is a failure."""
    try:
        return ask(*sources)
    except (ClickHouseError, SQLAlchemyError) as error:
        return Finding("fail", str(error).partition("\n")[0])


def answers(client: Client) -> Finding:
    """Tell the server's version."""
    return Finding("pass", f"clickhouse {client.command('SELECT version()')}")


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


def size(client: Client) -> int:
    """Return how many bytes the tables take."""
    query = "SELECT sum(total_bytes) FROM system.tables WHERE database = currentDatabase()"
    [(size,)] = rows_of(client, query)
    return int(size or 0)


def rows_of(client: Client, query: str) -> list[Any]:
    """Return what a query finds."""
    return list(client.query(query).result_rows)
