"""The service with the embedded ClickHouse relays by itself, from a request to the statistics."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from placeholder_service import migrate
from placeholder_service.main import create_app
from placeholder_service.settings import PROJECT_ROOT

from tests.fixtures.client import client_of

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PYTHON = [sys.executable, "-m"]


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An API key, in migrated databases that the settings name."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/service.db")
    monkeypatch.setenv("CLICKHOUSE_URL", f"chdb:///{tmp_path}/clickhouse")
    subprocess.run([PROJECT_ROOT / "scripts" / "migrate.sh"], check=True, capture_output=True)
    module = [*PYTHON, "placeholder_service"]
    command = [*module, "create-key", "--email", "me@example.com"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def served() -> Iterator[str]:
    """Run the service as `make run` does, and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    factory = "placeholder_service.main:serve"
    command = [*PYTHON, "uvicorn", "--factory", factory, "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "Uvicorn running" not in process.stderr.readline():
            assert process.poll() is None, "the service did not start"
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
        _, log = process.communicate(timeout=30)
    assert "Traceback" not in log


def ask(address: str, key: str, data: object = None) -> Any:
    """Send a request, and return what is answered."""
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    body = None if data is None else json.dumps(data).encode()
    with urlopen(Request(address, body, headers)) as response:  # noqa: S310  # to ourselves
        return json.load(response)


def relay_threads() -> list[str]:
    """Return the names of the threads that relay."""
    return [thread.name for thread in threading.enumerate() if thread.name == "relay"]


@pytest.mark.parametrize(
    ("clickhouse", "count"),
    [("chdb:///{folder}/clickhouse", 1), ("clickhouse://user:password@127.0.0.1:1/tests", 0)],
    ids=["embedded", "server"],
)
async def test_only_the_embedded_clickhouse_has_its_relay_in_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clickhouse: str, count: int
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/service.db")
    monkeypatch.setenv("CLICKHOUSE_URL", clickhouse.format(folder=tmp_path))
    migrate.database().upgrade()

    async with client_of(create_app()):
        during = relay_threads()

    assert len(during) == count
    assert relay_threads() == []
    # Where nothing is to be shipped, ClickHouse is not even opened.
    assert not (tmp_path / "clickhouse").exists()


def test_a_thought_is_soon_in_the_statistics(key: str) -> None:
    with served() as address:
        ask(f"{address}/thoughts", key, {"content": "An idea", "tags": ["idea"]})
        end = time.monotonic() + 30
        while not (tags := ask(f"{address}/analytics/top-tags", key)):
            assert time.monotonic() < end, "nothing was relayed"
            time.sleep(0.1)
        [*_, today] = ask(f"{address}/analytics/events-per-day", key)
        [*_, users] = ask(f"{address}/analytics/active-users", key)

    assert tags == [{"tag": "idea", "thoughts": 1}]
    # The user was created as well.
    assert (today["events"], users["users"]) == (2, 1)
