"""The statistics: each caller's own, and 503 where ClickHouse is out of reach."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.analytics import relay
from placeholder_service.main import create_app
from placeholder_service.models import User
from placeholder_service.services import api_keys
from placeholder_service.settings import Settings

from tests.conftest import test_session_maker
from tests.fixtures.client import ApiClient, client_of

pytestmark = pytest.mark.integration

PATHS = [
    "/analytics/events-per-day",
    "/analytics/active-users",
    "/analytics/top-tags",  # if domain == sample
]
MAY = "since=2026-05-01&until=2026-05-03"


def add(client: Client, user_id: UUID, day: int, **values: object) -> None:
    """Write an event of a day in May 2026."""
    event = {
        "event_id": uuid4(),
        "occurred_at": datetime(2026, 5, day, 23, 59, tzinfo=UTC),
        "user_id": user_id,
        "name": "user.created",
        "entity_id": uuid4(),
        "properties": {},
        **values,
    }
    relay.insert(client, relay.columns_of([event]))


async def test_statistics_count_each_event_once_and_only_in_their_period(
    db_session: AsyncSession,
    api_headers: dict[str, str],
    sample_user: User,
    isolated_clickhouse: tuple[Client, object],
) -> None:
    clickhouse, me = isolated_clickhouse[0], sample_user.id
    for day in (1, 1, 3, 4):
        add(clickhouse, me, day)
    add(clickhouse, uuid4(), 1)
    # A relay that was killed may have written an event twice.
    clickhouse.command("SYSTEM STOP MERGES events")
    clickhouse.command("INSERT INTO events SELECT * FROM events")
    found: dict[str, Any] = {}

    async with client_of(create_app(Settings(), test_session_maker, clickhouse)) as client:
        for path in PATHS:
            response = await client.get(f"{path}?{MAY}", headers=api_headers)
            found[path] = [tuple(row.values()) for row in response.json()]
            refused = await client.get(f"{path}?days=7", headers=api_headers)
            assert refused.status_code == 422

    stored = clickhouse.command("SELECT count() FROM events")
    clickhouse.command("SYSTEM START MERGES events")
    assert stored == 10
    assert found[PATHS[0]] == [("2026-05-01", 2), ("2026-05-02", 0), ("2026-05-03", 1)]
    assert found[PATHS[1]] == [("2026-05-01", 2), ("2026-05-02", 0), ("2026-05-03", 1)]


# if domain == sample
async def test_tags_are_counted_by_thought_and_shown_as_they_were_written(
    db_session: AsyncSession,
    api_headers: dict[str, str],
    sample_user: User,
    isolated_clickhouse: tuple[Client, object],
) -> None:
    clickhouse, me, thought_id = isolated_clickhouse[0], sample_user.id, uuid4()
    odd = 'it\'s "a" {tag:String} \\ naïve %s'
    for name, day, entity_id, tags in [
        ("thought.created", 1, thought_id, ["b", "idea"]),
        ("thought.updated", 1, thought_id, ["idea"]),
        ("thought.created", 3, uuid4(), ["idea", odd]),
        ("thought.deleted", 3, uuid4(), ["gone"]),
        ("thought.created", 4, uuid4(), ["later"]),
    ]:
        values = {"name": name, "entity_id": entity_id, "properties": {"tags": tags}}
        add(clickhouse, me, day, **values)
    add(clickhouse, uuid4(), 1, name="thought.created", properties={"tags": ["somebody's"]})

    async with client_of(create_app(Settings(), test_session_maker, clickhouse)) as client:
        path = f"/analytics/top-tags?{MAY}"
        all_tags = await client.get(path, headers=api_headers)
        top = await client.get(f"{path}&limit=1", headers=api_headers)

    assert [tuple(row.values()) for row in all_tags.json()] == [("idea", 2), ("b", 1), (odd, 1)]
    assert top.json() == [{"tag": "idea", "thoughts": 2}]


# end if
async def test_statistics_need_a_key_that_may_read(
    api_client: ApiClient, db_session: AsyncSession, sample_user: User
) -> None:
    key = api_keys.issue(db_session, sample_user, "writer", [])
    await db_session.flush()

    for path in PATHS:
        nobody = await api_client.get(path)
        unknown = await api_client.get(path, headers={"X-API-Key": "unknown.key"})
        writer = await api_client.get(path, headers={"X-API-Key": key})

        assert (nobody.status_code, unknown.status_code, writer.status_code) == (401, 401, 403)


async def test_an_unreachable_clickhouse_is_a_503(
    api_client: ApiClient, api_headers: dict[str, str]
) -> None:
    for path in PATHS:
        response = await api_client.get(path, headers=api_headers)

        assert response.status_code == 503
        assert response.headers["Content-Type"] == "application/problem+json"
        assert "127.0.0.1" not in response.text


async def test_a_clickhouse_that_fails_in_between_is_a_503(
    db_session: AsyncSession, api_headers: dict[str, str]
) -> None:
    class FailingClient:
        """A client whose server has run out of memory."""

        def query(self, *_: object) -> None:
            """Fail."""
            raise DatabaseError("no memory", code=241)

    clickhouse: Any = FailingClient()

    async with client_of(create_app(Settings(), test_session_maker, clickhouse)) as client:
        response = await client.get(PATHS[0], headers=api_headers)

    assert response.status_code == 503
