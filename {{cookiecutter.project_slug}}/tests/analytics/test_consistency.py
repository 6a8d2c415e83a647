"""What has to hold between the rows of the service and its events, as tests can ask (C9)."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from clickhouse_connect.driver.client import Client
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from testdb import Finding
from testdb.clickhouse.asyncio import AsyncFullStack, AsyncFullStackEnvironment

from placeholder_service.analytics import relay
from placeholder_service.analytics.relay import make_relay_engine
from placeholder_service.models import OutboxEvent, User
from placeholder_service.settings import Settings

from tests.fixtures.users import UserFactory

pytestmark = [pytest.mark.integration, pytest.mark.slow]


async def add_user(session: AsyncSession) -> User:
    """Commit a user, which writes an event to the outbox."""
    user: User = UserFactory.build()
    session.add(user)
    await session.commit()
    return user


def ship(config: AsyncFullStackEnvironment, client: Client) -> int:
    """Ship the events of the outbox."""
    url = config.postgres.database.url.render_as_string(hide_password=False)
    engine = make_relay_engine(Settings(database_url=url))
    try:
        return relay.relay(engine, lambda: client)
    finally:
        engine.dispose()


async def counts(stack: AsyncFullStack) -> tuple[int, int]:
    """Return how many users and how many events there are."""
    session = stack["postgres_session"]
    users = await session.scalar(select(func.count()).select_from(User))
    await session.rollback()
    return users or 0, events(stack["clickhouse_client"])


def events(client: Client) -> int:
    """Return how many events there are."""
    return int(str(client.command("SELECT count() FROM events")))


# if domain == sample
async def test_the_scenario_for_analytics_is_consistent(
    isolated_full_stack: AsyncFullStack,
) -> None:
    config = isolated_full_stack["config"]

    await config.seed("analytics")

    report = await config.validate_database_state()
    assert await counts(isolated_full_stack) == (50, 2000)
    assert report.status != "fail", str(report)
    assert ("data", "both: events match the outbox") in report.findings
    assert ("schema", "clickhouse: migrations are applied") in report.findings
    assert ("schema", "postgresql: migrations are applied") in report.findings


# end if
# What has to hold between both


async def compare(stack: AsyncFullStack, name: str) -> Finding:
    """Return what one of the comparisons finds."""
    report = await stack["config"].validate_database_state()
    return report.findings["data", f"both: {name}"]


def add_event(client: Client, user: UUID | None, event: UUID | None = None) -> None:
    """Write an event to ClickHouse alone."""
    row = [event or uuid4(), datetime(2025, 1, 1, tzinfo=UTC), user, "user.created", uuid4(), ""]
    client.insert("events", [row])


async def test_an_event_of_an_unknown_user_fails(isolated_full_stack: AsyncFullStack) -> None:
    stranger = uuid4()
    add_event(isolated_full_stack["clickhouse_client"], stranger)
    add_event(isolated_full_stack["clickhouse_client"], None)

    finding = await compare(isolated_full_stack, "users of events exist")

    assert (finding.status, dict(finding.details)) == ("fail", {str(stranger): "1 events"})


async def test_users_that_were_deleted_may_have_events(isolated_full_stack: AsyncFullStack) -> None:
    session, config = isolated_full_stack["postgres_session"], isolated_full_stack["config"]
    user = await add_user(session)
    await session.delete(user)
    await session.commit()
    ship(config, isolated_full_stack["clickhouse_client"])

    report = await config.validate_database_state()

    assert await counts(isolated_full_stack) == (0, 2)
    assert report.findings["data", "both: users of events exist"].status == "pass"


async def test_events_that_were_lost_doubled_or_not_told_of_fail(
    isolated_full_stack: AsyncFullStack,
) -> None:
    session, client = (
        isolated_full_stack["postgres_session"],
        isolated_full_stack["clickhouse_client"],
    )
    for _ in range(3):
        await add_user(session)
    ship(isolated_full_stack["config"], client)
    lost, doubled, _ = (await session.scalars(select(OutboxEvent.event_id))).all()
    await session.rollback()
    client.command("DELETE FROM events WHERE event_id = {id:UUID}", {"id": lost})
    add_event(client, None, doubled)
    add_event(client, None)

    finding = await compare(isolated_full_stack, "events match the outbox")

    assert dict(finding.details) == {
        "shipped, but not there": "1 events",
        "there, but not in the outbox": "1 events",
        "there more than once": "1 events",
    }


async def test_an_event_may_wait_for_its_mark(isolated_full_stack: AsyncFullStack) -> None:
    session, config = isolated_full_stack["postgres_session"], isolated_full_stack["config"]
    await add_user(session)
    await add_user(session)
    ship(config, isolated_full_stack["clickhouse_client"])
    await session.execute(update(OutboxEvent).values(shipped_at=None))
    await session.commit()

    finding = await compare(isolated_full_stack, "events match the outbox")

    assert finding.status == "pass"


async def test_a_metric_that_counts_wrong_fails(isolated_full_stack: AsyncFullStack) -> None:
    client = isolated_full_stack["clickhouse_client"]
    add_event(client, None)
    client.command("INSERT INTO metrics VALUES ('user.created', '2025-01-01', 7)")

    finding = await compare(isolated_full_stack, "metrics match the events")

    assert dict(finding.details) == {"user.created on 2025-01-01": "7 counted, 1 there"}


async def test_what_a_database_refuses_is_a_failure(isolated_full_stack: AsyncFullStack) -> None:
    isolated_full_stack["clickhouse_client"].command("DROP TABLE metrics")

    finding = await compare(isolated_full_stack, "metrics match the events")

    assert finding.status == "fail"
    assert "metrics" in finding.summary
