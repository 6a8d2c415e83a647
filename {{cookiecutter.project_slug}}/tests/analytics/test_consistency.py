"""What has to hold between the rows of the service and its events, as tests can ask."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from clickhouse_connect.driver.client import Client
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
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


def add_event(client: Client, user: UUID | None, event: UUID | None = None) -> None:
    """Write an event to ClickHouse alone."""
    row = [event or uuid4(), datetime(2025, 1, 1, tzinfo=UTC), user, "user.created", uuid4(), ""]
    client.insert("events", [row])


# if domain == sample
async def test_the_scenario_for_analytics_is_consistent(
    isolated_full_stack: AsyncFullStack,
) -> None:
    config = isolated_full_stack["config"]

    await config.seed("analytics")

    report = await config.validate_database_state()
    info = await config.postgres.get_database_info()
    stored = isolated_full_stack["clickhouse_client"].command("SELECT count() FROM events")
    assert (info["rows"]["users"], stored) == (50, 2000)
    assert report.status != "fail", str(report)
    assert ("data", "both: events match the outbox") in report.findings
    assert ("schema", "clickhouse: migrations are applied") in report.findings
    assert ("schema", "postgresql: migrations are applied") in report.findings


# end if
async def test_users_may_be_gone_and_events_may_wait_for_their_mark(
    isolated_full_stack: AsyncFullStack,
) -> None:
    session, config = isolated_full_stack["postgres_session"], isolated_full_stack["config"]
    await session.delete(await add_user(session))
    await session.commit()
    ship(config, isolated_full_stack["clickhouse_client"])
    await session.execute(update(OutboxEvent).values(shipped_at=None))
    await session.commit()

    report = await config.validate_database_state()

    found = {name: it.status for (_, name), it in report.findings.items() if "both" in name}
    assert [*found.values()] == ["pass"] * 3, found


async def test_what_does_not_match_is_counted(isolated_full_stack: AsyncFullStack) -> None:
    session, client = (
        isolated_full_stack["postgres_session"],
        isolated_full_stack["clickhouse_client"],
    )
    config = isolated_full_stack["config"]
    for _ in range(3):
        await add_user(session)
    ship(config, client)
    lost, doubled, _ = (await session.scalars(select(OutboxEvent.event_id))).all()
    await session.rollback()
    stranger = uuid4()
    client.command("DELETE FROM events WHERE event_id = {id:UUID}", {"id": lost})
    add_event(client, None, doubled)
    add_event(client, stranger)
    client.command("INSERT INTO metrics VALUES ('user.created', '2025-01-01', 7)")

    report = await config.validate_database_state()
    client.command("DROP TABLE metrics")
    refused = await config.validate_database_state()

    found = {name: dict(it.details) for (_, name), it in report.findings.items()}
    assert found["both: users of events exist"] == {str(stranger): "1 events"}
    assert found["both: events match the outbox"] == {
        "shipped, but not there": "1 events",
        "there, but not in the outbox": "1 events",
        "there more than once": "1 events",
    }
    metrics = found["both: metrics match the events"]
    assert metrics["user.created on 2025-01-01"] == "7 counted, 2 there"
    finding = refused.findings["data", "both: metrics match the events"]
    assert finding.status == "fail"
    assert "metrics" in finding.summary
