"""Statistics from ClickHouse. Events count once, however often the relay wrote them: `FINAL`."""

from datetime import date
from typing import Any
from uuid import UUID

from clickhouse_connect.driver.client import Client

from placeholder_service.analytics.client import explained

EVENTS_PER_DAY = """
    SELECT toDate(occurred_at) AS day, count() FROM events FINAL
    WHERE user_id = {user_id:UUID} AND day BETWEEN {first:Date} AND {last:Date}
    GROUP BY day
"""
ACTIVE_USERS = """
    SELECT toDate(occurred_at) AS day, uniqExact(user_id) FROM events FINAL
    WHERE day BETWEEN {first:Date} AND {last:Date}
    GROUP BY day
"""
# if domain == sample
TOP_TAGS = """
    SELECT
        arrayJoin(JSONExtract(properties, 'tags', 'Array(String)')) AS tag,
        uniqExact(entity_id) AS thoughts
    FROM events FINAL
    WHERE user_id = {user_id:UUID} AND name IN ('thought.created', 'thought.updated')
        AND toDate(occurred_at) BETWEEN {first:Date} AND {last:Date}
    GROUP BY tag
    ORDER BY thoughts DESC, tag
    LIMIT {limit:UInt32}
"""
# end if


def events_per_day(client: Client, user_id: UUID, first: date, last: date) -> dict[date, int]:
    """Return how many events of a user each day had; days without any are left out.

    Raises:
        UnavailableError: ClickHouse cannot answer now.
    """
    return pairs(client, EVENTS_PER_DAY, {"user_id": user_id, "first": first, "last": last})


def active_users(client: Client, first: date, last: date) -> dict[date, int]:
    """Return how many users did something on each day; days without any are left out.

    Raises:
        UnavailableError: ClickHouse cannot answer now.
    """
    return pairs(client, ACTIVE_USERS, {"first": first, "last": last})


# if domain == sample
def top_tags(client: Client, user_id: UUID, first: date, last: date, limit: int) -> dict[str, int]:
    """Return in how many thoughts a user used each tag, the most used ones first.

    Raises:
        UnavailableError: ClickHouse cannot answer now.
    """
    given = {"user_id": user_id, "first": first, "last": last, "limit": limit}
    return pairs(client, TOP_TAGS, given)


# end if
def pairs(client: Client, query: str, given: dict[str, object]) -> dict[Any, int]:
    """Run a query whose rows are a key and a number."""
    with explained():
        found = client.query(query, given, {"max_execution_time": 30})
        return {row[0]: row[1] for row in found.result_rows}
