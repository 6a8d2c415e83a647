"""The scenario with events fills both databases, which then say the same."""

from collections import Counter
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from clickhouse_connect.driver.client import Client
from migrator import Exit

from placeholder_service.analytics import relay
from placeholder_service.analytics.client import LazyClient, UnreachableError
from placeholder_service.models import Context, OutboxEvent, Task, Thought, User

from scripts import seed
from tests.fixtures import events, scenarios
from tests.fixtures.seed import Seed

pytestmark = pytest.mark.integration

COUNT = events.COUNTS["analytics"]


@pytest.fixture
def clickhouse(
    isolated_clickhouse: tuple[Client, object], monkeypatch: pytest.MonkeyPatch
) -> Client:
    """The client of an empty ClickHouse, which the command uses."""
    client = isolated_clickhouse[0]
    monkeypatch.setattr(seed, "LazyClient", lambda url: LazyClient(url, client))
    return client


@pytest.fixture
def engine(migrated_url: sa.URL) -> Iterator[sa.Engine]:
    """The engine of a migrated database."""
    engine = sa.create_engine(migrated_url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def few_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the smallest scenario have events, twenty of them."""
    monkeypatch.setattr(events, "COUNTS", {"minimal": 20})


def count(engine: sa.Engine, model: type) -> int:
    """Return how many rows a table has."""
    with engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(model)) or 0


def test_both_databases_have_the_same_events_and_the_metrics_count_them(
    engine: sa.Engine, clickhouse: Client, run_seed: Seed
) -> None:
    exit_code, output = run_seed("analytics")

    query = sa.select(OutboxEvent.event_id, OutboxEvent.user_id, OutboxEvent.name)
    with engine.connect() as connection:
        told = {tuple(row) for row in connection.execute(query)}
        users = set(connection.scalars(sa.select(User.id)))
        waiting = connection.scalars(query.where(OutboxEvent.shipped_at.is_(None))).all()
    stored = clickhouse.query("SELECT event_id, user_id, name FROM events").result_rows
    metrics = clickhouse.query("SELECT name, toDate(bucket), value FROM metrics FINAL").result_rows
    made = [(event["name"], event["occurred_at"].date()) for event in events.rows("analytics")]
    assert (exit_code, len(stored), waiting) == (Exit.DONE, COUNT, [])
    assert set(stored) == told
    assert {row[1] for row in stored} == users
    assert {tuple(row[:2]): row[2] for row in metrics} == Counter(made)
    assert f"50 tasks, {COUNT} events.\n" in output


@pytest.mark.usefixtures("few_events")
def test_where_clickhouse_cannot_take_events_nothing_is_added(
    engine: sa.Engine, clickhouse: Client, run_seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(seed, "LazyClient", LazyClient)
        unreachable = run_seed("minimal")
    clickhouse.command("RENAME TABLE events TO elsewhere")
    not_migrated = run_seed("minimal")
    clickhouse.command("RENAME TABLE elsewhere TO events")
    relay.insert(clickhouse, relay.columns_of(events.rows("minimal", seed=2)))
    not_empty = run_seed("minimal")

    expected = [
        (unreachable, Exit.FAILED, "ClickHouse at 127.0.0.1:1 cannot be reached"),
        (not_migrated, Exit.REFUSED, "Next: scripts/migrate.sh"),
        (not_empty, Exit.REFUSED, "it has 20 events. To add to them: make seed"),
    ]
    for (exit_code, output), expected_code, message in expected:
        assert exit_code == expected_code
        assert message in output
    assert [count(engine, model) for model in (User, Thought, OutboxEvent)] == [0, 0, 0]


@pytest.mark.usefixtures("few_events")
def test_events_are_added_on_request_and_wait_where_clickhouse_fails_at_the_last_moment(
    engine: sa.Engine, clickhouse: Client, run_seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise UnreachableError("ClickHouse failed: no memory")

    exit_codes = [run_seed("minimal", "--append")[0] for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(seed, "relay", fail)
        failed, output = run_seed("minimal", "--append")
    without_events, _ = run_seed("basic_workflow", "--append")

    assert (exit_codes, failed, without_events) == ([Exit.DONE] * 2, Exit.FAILED, Exit.DONE)
    assert "The events wait in the outbox. Next: scripts/relay-events.sh" in output
    assert count(engine, OutboxEvent) == 3 * 20
    assert clickhouse.command("SELECT uniqExact(event_id) FROM events") == 2 * 20


def test_events_are_about_rows_of_the_scenario_and_never_before_them() -> None:
    made = events.rows("analytics")

    rows = scenarios.rows("analytics")
    known = {
        (model.__name__.lower(), row["id"]): row
        for model in (User, Context, Thought, Task)
        for row in rows[model.__tablename__]
    }
    assert made == events.rows("analytics") != events.rows("analytics", seed=2)
    assert len(made) == COUNT == len({event["event_id"] for event in made})
    assert [event["occurred_at"] for event in made] == sorted(
        event["occurred_at"] for event in made
    )
    for event in made:
        row = known[event["name"].partition(".")[0], event["entity_id"]]
        assert event["user_id"] == row.get("user_id", row["id"])
        assert event["occurred_at"] >= row["created_at"]
    assert {event["entity_id"] for event in made if event["name"].endswith("created")} == {
        entity_id for _, entity_id in known
    }


def test_other_scenarios_have_no_events() -> None:
    assert not any(events.rows(name) for name in scenarios.SCENARIOS if name not in events.COUNTS)
