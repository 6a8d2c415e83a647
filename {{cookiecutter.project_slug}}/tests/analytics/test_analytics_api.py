"""The statistics: each caller's own, within bounds, and 503 where ClickHouse is out of reach."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.analytics import relay
from placeholder_service.main import create_app
from placeholder_service.models import User
from placeholder_service.services import api_keys
from placeholder_service.settings import Settings

from tests.conftest import test_session_maker
from tests.fixtures.client import ApiClient, client_of

pytestmark = pytest.mark.integration

Headers = dict[str, str]
PATHS = [
    "/analytics/events-per-day",
    "/analytics/active-users",
    "/analytics/top-tags",  # if domain == sample
]
MAY = "since=2026-05-01&until=2026-05-03"


@pytest.fixture
def clickhouse(isolated_clickhouse: tuple[Client, object]) -> Client:
    """The client of an empty ClickHouse."""
    return isolated_clickhouse[0]


@pytest.fixture
def app(clickhouse: Client) -> FastAPI:
    """The app on the sessions and the ClickHouse of the tests."""
    return create_app(Settings(), test_session_maker, clickhouse)


def add(
    client: Client,
    user_id: UUID,
    day: int,
    name: str = "user.created",
    entity_id: UUID | None = None,
    **properties: object,
) -> None:
    """Write an event of a day in May 2026."""
    event = {
        "event_id": uuid4(),
        "occurred_at": datetime(2026, 5, day, 23, 59, tzinfo=UTC),
        "user_id": user_id,
        "name": name,
        "entity_id": entity_id or uuid4(),
        "properties": properties,
    }
    relay.insert(client, relay.columns_of([event]))


async def test_events_are_counted_for_every_day(
    api_client: ApiClient, api_headers: Headers, clickhouse: Client, sample_user: User
) -> None:
    for day in (1, 1, 3, 4):
        add(clickhouse, sample_user.id, day)
    add(clickhouse, uuid4(), 1)

    response = await api_client.get(f"/analytics/events-per-day?{MAY}", headers=api_headers)

    assert response.json() == [
        {"day": "2026-05-01", "events": 2},
        {"day": "2026-05-02", "events": 0},
        {"day": "2026-05-03", "events": 1},
    ]


async def test_an_event_that_was_written_twice_counts_once(
    api_client: ApiClient, api_headers: Headers, clickhouse: Client, sample_user: User
) -> None:
    add(clickhouse, sample_user.id, 1)
    clickhouse.command("SYSTEM STOP MERGES events")
    clickhouse.command("INSERT INTO events SELECT * FROM events")

    response = await api_client.get(f"/analytics/events-per-day?{MAY}", headers=api_headers)

    stored = clickhouse.command("SELECT count() FROM events")
    clickhouse.command("SYSTEM START MERGES events")
    assert stored == 2
    assert response.json()[0]["events"] == 1


async def test_active_users_are_a_number_for_each_day(
    api_client: ApiClient, api_headers: Headers, clickhouse: Client, sample_user: User
) -> None:
    for day, user_id in [(1, sample_user.id), (1, sample_user.id), (1, UUID(int=7)), (3, uuid4())]:
        add(clickhouse, user_id, day)

    response = await api_client.get(f"/analytics/active-users?{MAY}", headers=api_headers)

    assert response.json() == [
        {"day": "2026-05-01", "users": 2},
        {"day": "2026-05-02", "users": 0},
        {"day": "2026-05-03", "users": 1},
    ]


# if domain == sample
async def test_tags_are_counted_by_thought(
    api_client: ApiClient, api_headers: Headers, clickhouse: Client, sample_user: User
) -> None:
    thought_id = uuid4()
    user_id = sample_user.id
    add(clickhouse, user_id, 1, "thought.created", thought_id, tags=["b", "idea"])
    add(clickhouse, user_id, 2, "thought.updated", thought_id, tags=["idea"])
    add(clickhouse, user_id, 2, "thought.created", tags=["idea", "a"])
    add(clickhouse, user_id, 2, "thought.deleted", tags=["gone"])
    add(clickhouse, user_id, 9, "thought.created", tags=["later"])
    add(clickhouse, uuid4(), 1, "thought.created", tags=["somebody's"])

    response = await api_client.get(f"/analytics/top-tags?{MAY}&limit=2", headers=api_headers)

    assert response.json() == [{"tag": "idea", "thoughts": 2}, {"tag": "a", "thoughts": 1}]


async def test_tags_are_shown_as_they_were_written(
    api_client: ApiClient, api_headers: Headers, clickhouse: Client, sample_user: User
) -> None:
    tag = 'it\'s "a" {tag:String} \\ naïve %s'
    add(clickhouse, sample_user.id, 1, "thought.created", tags=[tag])

    response = await api_client.get(f"/analytics/top-tags?{MAY}", headers=api_headers)

    assert response.json() == [{"tag": tag, "thoughts": 1}]


async def test_the_number_of_tags_has_bounds(api_client: ApiClient, api_headers: Headers) -> None:
    for limit, status in [(0, 422), (1, 200), (100, 200), (101, 422)]:
        response = await api_client.get(f"/analytics/top-tags?limit={limit}", headers=api_headers)

        assert response.status_code == status


# end if
async def test_without_a_period_it_is_the_last_thirty_days(
    api_client: ApiClient, api_headers: Headers
) -> None:
    response = await api_client.get("/analytics/events-per-day", headers=api_headers)

    days = [row["day"] for row in response.json()]
    today = datetime.now(UTC).date()
    assert len(days) == 30
    assert today - timedelta(days=1) <= date.fromisoformat(days[-1]) <= today


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("since=2026-05-02&until=2026-05-01", "until is before since"),
        ("since=2025-05-01&until=2026-05-02", "at most 366 days"),
        ("since=1999-12-31&until=2000-01-02", "2000-01-01"),
        ("until=2100-01-01", "2099-12-31"),
        ("since=yesterday", "date"),
        ("days=7", "Extra inputs"),
    ],
)
async def test_a_period_out_of_bounds_is_refused(
    api_client: ApiClient, api_headers: Headers, query: str, message: str
) -> None:
    for path in PATHS:
        response = await api_client.get(f"{path}?{query}", headers=api_headers)

        assert response.status_code == 422
        assert response.headers["Content-Type"] == "application/problem+json"
        assert message in response.json()["errors"][0]["message"]


async def test_the_longest_period_is_a_year(api_client: ApiClient, api_headers: Headers) -> None:
    query = "since=2024-01-01&until=2024-12-31"

    response = await api_client.get(f"/analytics/active-users?{query}", headers=api_headers)

    assert len(response.json()) == 366


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
    db_session: AsyncSession,
    api_headers: Headers,
) -> None:
    async with client_of(create_app(Settings(), test_session_maker)) as client:
        for path in PATHS:
            response = await client.get(path, headers=api_headers)

            assert response.status_code == 503
            assert response.headers["Content-Type"] == "application/problem+json"
            assert "127.0.0.1" not in response.text


async def test_a_clickhouse_that_fails_in_between_is_a_503(
    api_client: ApiClient, api_headers: Headers, clickhouse: Client
) -> None:
    clickhouse.command("RENAME TABLE events TO elsewhere")

    response = await api_client.get(PATHS[0], headers=api_headers)

    clickhouse.command("RENAME TABLE elsewhere TO events")
    assert response.status_code == 503


@pytest.mark.usefixtures("migrated_url")
async def test_readiness_is_about_the_transactional_database() -> None:
    async with client_of(create_app()) as client:
        response = await client.get("/health/ready")

    assert response.status_code == 200
