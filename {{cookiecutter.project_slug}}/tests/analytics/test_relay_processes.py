"""Relays as processes of their own, with the embedded ClickHouse in a folder of their own."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest
import sqlalchemy as sa

from placeholder_service.models import OutboxEvent
from placeholder_service.settings import PROJECT_ROOT

pytestmark = [pytest.mark.integration, pytest.mark.slow]

RELAY = PROJECT_ROOT / "scripts" / "relay-events.sh"
HOLD = """
from placeholder_service.analytics.client import open_client
from placeholder_service.settings import Settings
client = open_client(Settings().clickhouse)
print("open", flush=True)
input()
"""
COUNT = """
import json, sys
from placeholder_service.analytics.client import open_client
from placeholder_service.settings import Settings
client = open_client(Settings().clickhouse)
print(json.dumps([
    client.command("SELECT count() FROM events"),
    client.command("SELECT uniqExact(event_id) FROM events"),
    client.command("SELECT toInt64(sum(value)) FROM metrics FINAL"),
]))
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """The engine of a migrated SQLite file; ClickHouse is migrated in a folder beside it."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/service.db")
    monkeypatch.setenv("CLICKHOUSE_URL", f"chdb:///{tmp_path}/clickhouse")
    subprocess.run([PROJECT_ROOT / "scripts" / "migrate.sh"], check=True, capture_output=True)
    engine = sa.create_engine(f"sqlite:///{tmp_path}/service.db", poolclass=sa.NullPool)
    yield engine
    engine.dispose()


def write(engine: sa.Engine, count: int) -> None:
    """Add events to the outbox."""
    rows = [
        {
            "event_id": uuid4(),
            "occurred_at": datetime.now(UTC),
            "name": "thought.created",
            "entity_id": uuid4(),
            "properties": {},
        }
        for _ in range(count)
    ]
    with engine.begin() as connection:
        connection.execute(sa.insert(OutboxEvent), rows)


def unmarked(engine: sa.Engine) -> int:
    """Return how many events were not shipped."""
    query = sa.select(sa.func.count()).where(OutboxEvent.shipped_at.is_(None))
    with engine.connect() as connection:
        return connection.scalar(query) or 0


def counts() -> list[int]:
    """Return how many events ClickHouse has, how many different ones, and the metrics' sum."""
    done = subprocess.run([sys.executable, "-c", COUNT], check=True, capture_output=True)
    found: list[int] = json.loads(done.stdout)
    return found


@contextmanager
def following() -> Iterator[subprocess.Popen[str]]:
    """Run a relay that follows, and kill it in the end if it still runs."""
    with subprocess.Popen([RELAY, "--follow"], text=True, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until_left(engine: sa.Engine, most: int) -> None:
    """Wait until at most so many events are left to ship."""
    end = time.monotonic() + 600
    while unmarked(engine) > most:
        assert time.monotonic() < end, "the relay does nothing"
        time.sleep(0.005)


def test_killed_relays_lose_and_double_nothing(engine: sa.Engine) -> None:
    random = Random(1)
    left = []
    for _ in range(3):
        write(engine, 10_000)
        with following():
            wait_until_left(engine, unmarked(engine) - 1)
            time.sleep(random.random() / 10)
        left.append(unmarked(engine))

    done = subprocess.run([RELAY], check=True, capture_output=True, text=True)

    assert done.stdout.startswith("Shipped ")
    assert any(left), "no kill met any work"
    assert unmarked(engine) == 0
    assert counts() == [30_000, 30_000, 30_000]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_relay_that_follows_ends_cleanly(engine: sa.Engine, number: signal.Signals) -> None:
    write(engine, 5)

    with following() as process:
        wait_until_left(engine, 0)
        process.send_signal(number)
        _, log = process.communicate(timeout=300)

    assert process.returncode == 0
    assert "events were shipped" in log
    assert "Traceback" not in log
    assert counts() == [5, 5, 5]


def test_a_folder_that_another_process_has_is_explained(engine: sa.Engine) -> None:
    write(engine, 1)

    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder as process:
        assert process.stdout is not None
        process.stdout.readline()
        refused = subprocess.run([RELAY], capture_output=True, text=True, check=False)
        process.communicate(b"\n")

    assert refused.returncode == 1
    assert "Next: stop the process that uses the folder" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert unmarked(engine) == 1


def test_the_help_tells_the_exit_codes() -> None:
    done = subprocess.run([RELAY, "--help"], check=True, capture_output=True, text=True)

    assert "3 another relay did not end in time" in done.stdout
