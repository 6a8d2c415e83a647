"""The relay ships each event, in order and once, wherever an earlier run was stopped."""

import runpy
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from clickhouse_connect.driver.client import Client

from placeholder_service import migrate, relay_events
from placeholder_service.analytics import client as clients
from placeholder_service.analytics import relay as relays
from placeholder_service.analytics.client import LazyClient
from placeholder_service.analytics.relay import relay
from placeholder_service.models import OutboxEvent
from placeholder_service.settings import Settings

pytestmark = pytest.mark.integration

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def clickhouse(isolated_clickhouse: tuple[Client, object]) -> Client:
    """The client of an empty ClickHouse."""
    return isolated_clickhouse[0]


@pytest.fixture
def engine(migrated_url: sa.URL) -> Iterator[sa.Engine]:
    """The relay's engine on a database of the test's own, which the settings name."""
    engine = relays.make_relay_engine(Settings())
    yield engine
    engine.dispose()


@pytest.fixture
def engine_of_each_kind(
    empty_database: sa.URL, monkeypatch: pytest.MonkeyPatch
) -> Iterator[sa.Engine]:
    """The same on SQLite and on PostgreSQL, which lock in ways of their own."""
    monkeypatch.setenv("DATABASE_URL", empty_database.render_as_string(hide_password=False))
    migrate.database().upgrade()
    engine = relays.make_relay_engine(Settings())
    yield engine
    engine.dispose()


def write(engine: sa.Engine, count: int, **values: object) -> list[UUID]:
    """Add events to the outbox, and return their ids in order."""
    ids = [uuid4() for _ in range(count)]
    rows = [
        {
            "event_id": event_id,
            "occurred_at": NOW + timedelta(hours=number),
            "user_id": UUID(int=1),
            "name": "user.created",
            "entity_id": uuid4(),
            "properties": {"is_active": True},
            **values,
        }
        for number, event_id in enumerate(ids)
    ]
    with engine.begin() as connection:
        connection.execute(sa.insert(OutboxEvent), rows)
    return ids


def shipped(client: Client) -> list[UUID]:
    """Return the ids of all events in ClickHouse; what is stored twice is there twice."""
    return [row[0] for row in client.query("SELECT event_id FROM events").result_rows]


def unmarked(engine: sa.Engine) -> int:
    """Return how many events the outbox says were not shipped."""
    query = sa.select(sa.func.count()).where(OutboxEvent.shipped_at.is_(None))
    with engine.connect() as connection:
        return connection.scalar(query) or 0


def metrics(client: Client) -> dict[tuple[str, str], float]:
    """Return the value of each metric and day."""
    found = client.query("SELECT name, toString(toDate(bucket)), value FROM metrics FINAL")
    return {(name, day): value for name, day, value in found.result_rows}


def test_events_arrive_as_they_were(engine: sa.Engine, clickhouse: Client) -> None:
    time = datetime(2026, 5, 4, 23, 59, 59, 123456, tzinfo=UTC)
    properties = {"words": ["it's", 'a "word"', "naïve\t\\"]}
    [event_id] = write(engine, 1, user_id=None, occurred_at=time, properties=properties)

    relay(engine, lambda: clickhouse)

    [row] = clickhouse.query(
        "SELECT event_id, toString(occurred_at), user_id, name,"
        " JSONExtract(properties, 'words', 'Array(String)') FROM events"
    ).result_rows
    expected = (event_id, "2026-05-04 23:59:59.123456", None, "user.created", properties["words"])
    assert row == expected


def test_batches_are_shipped_in_order(
    engine: sa.Engine, clickhouse: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[list[UUID]] = []

    def ship(client: Client, batch: Sequence[sa.RowMapping]) -> None:
        batches.append([row["event_id"] for row in batch])

    monkeypatch.setattr(relays, "BATCH", 3)
    monkeypatch.setattr(relays, "ship", ship)
    ids = write(engine, 7)

    count = relay(engine, lambda: clickhouse)

    assert batches == [ids[:3], ids[3:6], ids[6:]]
    assert (count, unmarked(engine)) == (7, 0)


def test_a_second_run_ships_only_what_came_since(engine: sa.Engine, clickhouse: Client) -> None:
    first = write(engine, 3)
    relay(engine, lambda: clickhouse)
    second = write(engine, 2)

    counts = [relay(engine, lambda: clickhouse), relay(engine, lambda: clickhouse)]

    assert counts == [2, 0]
    assert Counter(shipped(clickhouse)) == Counter(first + second)


def test_the_days_of_a_batch_are_counted(engine: sa.Engine, clickhouse: Client) -> None:
    write(engine, 20)
    write(engine, 1, name="user.updated")
    relay(engine, lambda: clickhouse)
    write(engine, 1)

    relay(engine, lambda: clickhouse)

    assert metrics(clickhouse) == {
        ("user.created", "2026-05-04"): 13,
        ("user.created", "2026-05-05"): 8,
        ("user.updated", "2026-05-04"): 1,
    }


@pytest.mark.parametrize("step", ["insert", "count_days", "mark"])
def test_a_run_that_broke_off_is_repeated(
    engine: sa.Engine, clickhouse: Client, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    ids: list[UUID] = []
    do = getattr(relays, step)

    def break_off_before(*_: object) -> None:
        raise InterruptedError

    def break_off_after(*arguments: object) -> None:
        do(*arguments)
        raise InterruptedError

    for break_off in (break_off_before, break_off_after):
        ids += write(engine, 5)
        with monkeypatch.context() as patch:
            patch.setattr(relays, step, break_off)
            with pytest.raises(InterruptedError):
                relay(engine, lambda: clickhouse)

        relay(engine, lambda: clickhouse)

        assert Counter(shipped(clickhouse)) == Counter(ids)
        assert unmarked(engine) == 0
        assert metrics(clickhouse) == {("user.created", "2026-05-04"): len(ids)}


def test_relays_at_the_same_time_take_turns(
    engine_of_each_kind: sa.Engine, clickhouse: Client
) -> None:
    engine = engine_of_each_kind
    ids = write(engine, 200)
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(relay(engine, lambda: clickhouse)))
        for _ in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(counts) == [0, 0, 0, 200]
    assert Counter(shipped(clickhouse)) == Counter(ids)


def test_a_relay_waits_for_another_one_for_so_long(
    engine_of_each_kind: sa.Engine, clickhouse: Client
) -> None:
    engine = engine_of_each_kind
    write(engine, 1)

    with (
        engine.connect() as connection,
        relays.one_relay_at_a_time(connection, wait_seconds=0),
        pytest.raises(relays.BusyError, match=r"did not end in 0\.2 s"),
    ):
        relay(engine, lambda: clickhouse, wait_seconds=0.2)

    assert relay(engine, lambda: clickhouse) == 1


def test_the_database_can_be_written_to_while_clickhouse_works(
    engine: sa.Engine, clickhouse: Client
) -> None:
    write(engine, 1)
    written: list[UUID] = []

    def open_client() -> Client:
        if not written:
            written.extend(write(engine, 1))
        return clickhouse

    assert relay(engine, open_client) == 2


def test_clickhouse_is_not_asked_where_nothing_waits(engine: sa.Engine) -> None:
    def open_client() -> Client:
        raise AssertionError("it was")

    assert relay(engine, open_client) == 0


# As they come


@pytest.fixture
def following(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts a relay that follows in a thread, and ends it after the test."""
    monkeypatch.setattr(relays, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(relays, "LONGEST_PAUSE_SECONDS", 0.05)
    running: list[relays.BackgroundRelay] = []

    def start(open_client: relays.OpenClient) -> None:
        background = relays.BackgroundRelay(Settings(), open_client)
        background.start()
        running.append(background)

    yield start
    for background in running:
        background.stop()
        assert not background.thread.is_alive()


def wait_until_marked(engine: sa.Engine) -> None:
    """Wait until nothing is left to ship."""
    end = time.monotonic() + 30
    while unmarked(engine):
        assert time.monotonic() < end, "the relay does nothing"
        time.sleep(0.01)


def test_events_are_shipped_as_they_come(
    engine: sa.Engine, clickhouse: Client, following: Any
) -> None:
    following(lambda: clickhouse)
    ids: list[UUID] = []

    for _ in range(3):
        ids += write(engine, 2)
        wait_until_marked(engine)

    assert Counter(shipped(clickhouse)) == Counter(ids)


def test_a_relay_goes_on_when_clickhouse_is_back(
    engine: sa.Engine, clickhouse: Client, following: Any, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = 0

    def open_client() -> Client:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise RuntimeError("nobody expects this")
        if attempts < 4:
            return clients.open_client(Settings().clickhouse)
        return clickhouse

    write(engine, 2)
    following(open_client)
    wait_until_marked(engine)

    warnings = [record for record in caplog.records if record.message == "events were not shipped"]
    assert [vars(record)["again_in_seconds"] for record in warnings] == [0.02, 0.04, 0.05]
    assert "127.0.0.1:1 cannot be reached" in str(vars(warnings[1])["error"])
    # A traceback where it is needed.
    assert [bool(record.exc_info) for record in warnings] == [True, False, False]


def test_a_relay_goes_on_when_the_database_is_back(
    engine: sa.Engine, clickhouse: Client, following: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ids = write(engine, 2)
    with engine.connect() as connection:
        connection.execute(sa.text("ALTER TABLE outbox RENAME TO elsewhere"))
    following(lambda: clickhouse)
    end = time.monotonic() + 30
    while "events were not shipped" not in caplog.text:
        assert time.monotonic() < end, "it does not say so"
        time.sleep(0.01)

    with engine.connect() as connection:
        connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO outbox"))
    wait_until_marked(engine)

    assert Counter(shipped(clickhouse)) == Counter(ids)


def test_a_relay_that_is_to_stop_finishes_its_batch_only(
    engine: sa.Engine, clickhouse: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "BATCH", 2)
    ids = write(engine, 6)
    stop = threading.Event()

    def open_client() -> Client:
        stop.set()
        return clickhouse

    count = relay(engine, open_client, stop)

    assert count == 2
    assert Counter(shipped(clickhouse)) == Counter(ids[:2])


# The command


@pytest.fixture
def handlers_as_before() -> Iterator[None]:
    """Put back what the process does at a signal."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def command(clickhouse: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command use the ClickHouse of the test."""
    monkeypatch.setattr(relay_events, "LazyClient", lambda url: LazyClient(url, clickhouse))


@pytest.mark.usefixtures("command")
def test_the_command_says_how_many_events_it_shipped(
    engine: sa.Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    write(engine, 3)

    exit_codes = [relay_events.main([]), relay_events.main([])]

    assert exit_codes == [relay_events.DONE, relay_events.DONE]
    assert capsys.readouterr().out == "Shipped 3 events.\nShipped 0 events.\n"


def test_an_unreachable_clickhouse_is_explained(
    engine: sa.Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    write(engine, 1)

    exit_code = relay_events.main([])

    assert exit_code == relay_events.FAILED
    assert "ClickHouse at 127.0.0.1:1 cannot be reached" in capsys.readouterr().err
    assert unmarked(engine) == 1


@pytest.mark.usefixtures("command")
def test_a_clickhouse_that_is_not_migrated_is_explained(
    engine: sa.Engine, clickhouse: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    for table in ("events", "metrics"):
        write(engine, 1)
        clickhouse.command(f"RENAME TABLE {table} TO elsewhere")

        exit_code = relay_events.main([])

        clickhouse.command(f"RENAME TABLE elsewhere TO {table}")
        assert exit_code == relay_events.REFUSED
        assert capsys.readouterr().err.endswith("Next: scripts/migrate.sh\n")
        assert relay_events.main([]) == relay_events.DONE


def test_a_database_that_is_not_migrated_is_explained(
    sqlite_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without_file = relay_events.main([])
    made = sqlite_file.exists()
    sqlite_file.touch()
    without_table = relay_events.main([])

    assert not made
    assert (without_file, without_table) == (relay_events.REFUSED, relay_events.REFUSED)
    for message in capsys.readouterr().err.splitlines():
        assert message.endswith("Next: scripts/migrate.sh")


def test_an_unreachable_database_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:password@127.0.0.1:1/service")

    exit_code = relay_events.main([])

    message = capsys.readouterr().err
    assert exit_code == relay_events.FAILED
    assert "127.0.0.1" in message
    assert "password" not in message


def test_unusable_settings_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_URL", "mysql://user:password@host/service")

    with pytest.raises(SystemExit, match="not a ClickHouse URL") as refusal:
        relay_events.main([])

    assert "password@" not in str(refusal.value)


def test_the_help_tells_the_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["command", "--help"])

    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(relay_events.__file__, run_name="__main__")

    assert "3 another relay did not end in time" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("command", "handlers_as_before")
def test_a_command_that_follows_ends_at_a_signal(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(relay_events, "configure_logging", lambda _: None)

    def ship(client: Client, batch: Sequence[sa.RowMapping]) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr(relays, "ship", ship)
    write(engine, 2)

    exit_code = relay_events.main(["--follow"])

    assert exit_code == relay_events.DONE
    assert unmarked(engine) == 0


def test_a_lock_that_is_not_to_be_had_has_an_exit_code(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(relay_events, "relay", partial(relay, wait_seconds=0.1))

    with engine.connect() as connection, relays.one_relay_at_a_time(connection, wait_seconds=0):
        exit_code = relay_events.main([])

    assert exit_code == relay_events.LOCKED
    assert "Another relay did not end in 0.1 s" in capsys.readouterr().err
