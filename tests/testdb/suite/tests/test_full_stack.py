"""Both databases of a test as one: they start clean, and go back together."""

from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client
from service.events import ADD_EVENTS
from service.models import LogEntry, User
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from testdb import Finding
from testdb.clickhouse.asyncio import AsyncFullStack

pytestmark = pytest.mark.slow

# The same test several times: whichever runs later would see what an earlier one left.
twice = pytest.mark.parametrize("run", [1, 2])


async def add_user(session: AsyncSession) -> User:
    """Commit a user."""
    user = User(email=f"{uuid4().hex}@example.com", name="User")
    session.add(user)
    await session.commit()
    return user


def add_event(client: Client) -> None:
    """Write an event."""
    client.command(ADD_EVENTS.format(1))


async def counts(stack: AsyncFullStack) -> tuple[int, int]:
    """Return how many users and how many events there are."""
    session = stack["postgres_session"]
    users = await session.scalar(select(func.count()).select_from(User))
    await session.rollback()
    return users or 0, int(str(stack["clickhouse_client"].command("SELECT count() FROM events")))


@twice
async def test_both_databases_are_clean_for_every_test(
    isolated_full_stack: AsyncFullStack,
    run: int,
) -> None:
    before = await counts(isolated_full_stack)

    await add_user(isolated_full_stack["postgres_session"])
    add_event(isolated_full_stack["clickhouse_client"])

    assert before == (0, 0)
    assert await counts(isolated_full_stack) == (1, 1)


async def test_the_mapping_tells_where_everything_is(isolated_full_stack: AsyncFullStack) -> None:
    config, client = isolated_full_stack["config"], isolated_full_stack["clickhouse_client"]

    info = await config.get_database_info()

    assert info["clickhouse"]["name"] == isolated_full_stack["clickhouse_database"]
    assert client.command("SELECT currentDatabase()") == info["clickhouse"]["name"]
    assert config.test_id in info["postgresql"]["name"]
    assert info["postgresql"]["rows"]["users"] == 0
    assert info["snapshots"] == []


async def test_a_snapshot_takes_both_back(isolated_full_stack: AsyncFullStack) -> None:
    session, config = isolated_full_stack["postgres_session"], isolated_full_stack["config"]
    client, engine = isolated_full_stack["clickhouse_client"], config.postgres.database.engine
    await add_user(session)
    add_event(client)
    one = await config.create_snapshot(engine, "one of each")
    await add_user(session)
    two = await config.create_snapshot(engine, "two users, one event")
    add_event(client)

    found = [await counts(isolated_full_stack)]
    for snapshot in (one, two, one):
        await config.restore_snapshot(snapshot)
        found.append(await counts(isolated_full_stack))

    assert found == [(2, 2), (1, 1), (2, 1), (1, 1)]
    assert (await config.get_database_info())["snapshots"] == [one, two]


async def test_snapshots_can_be_dropped_before_the_test_ends(
    isolated_full_stack: AsyncFullStack,
) -> None:
    config = isolated_full_stack["config"]
    snapshot = await config.create_snapshot(config.postgres.database.engine, "empty")

    await config.cleanup_databases()

    assert (await config.get_database_info())["snapshots"] == []
    with pytest.raises(KeyError):
        await config.restore_snapshot(snapshot)


async def test_a_scenario_fills_both_and_notes_what_was_sent(
    isolated_full_stack: AsyncFullStack,
) -> None:
    session, config = isolated_full_stack["postgres_session"], isolated_full_stack["config"]

    await config.seed("analytics")

    report = await config.validate_database_state()
    assert await counts(isolated_full_stack) == (5, 200)
    assert (await session.scalars(select(LogEntry.action))).all() == ["made", "analytics x 1"]
    assert report.status == "pass", str(report)
    assert ("data", "both: users of events exist") in report.findings
    assert ("schema", "clickhouse: migrations are applied") in report.findings
    assert ("schema", "postgresql: migrations are applied") in report.findings


async def compare(stack: AsyncFullStack) -> Finding:
    """Return what the service's comparison finds."""
    report = await stack["config"].validate_database_state()
    return report.findings["data", "both: users of events exist"]


async def test_databases_that_disagree_fail(isolated_full_stack: AsyncFullStack) -> None:
    stranger = uuid4()
    isolated_full_stack["clickhouse_client"].command(
        f"INSERT INTO events (user_id) VALUES ('{stranger}')"
    )

    finding = await compare(isolated_full_stack)

    assert (finding.status, dict(finding.details)) == ("fail", {str(stranger): "unknown"})


async def test_what_a_database_refuses_is_a_failure(isolated_full_stack: AsyncFullStack) -> None:
    isolated_full_stack["clickhouse_client"].command("DROP TABLE events")

    finding = await compare(isolated_full_stack)

    assert finding.status == "fail"
    assert "events" in finding.summary
