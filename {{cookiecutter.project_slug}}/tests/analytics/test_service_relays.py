"""The service with the embedded ClickHouse relays by itself, with a server it does not."""

import threading
from pathlib import Path

import pytest

from placeholder_service import migrate
from placeholder_service.main import create_app

from tests.fixtures.client import client_of

pytestmark = pytest.mark.integration


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
