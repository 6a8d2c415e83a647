"""Clients of ClickHouse: opened when needed, and clear about what is wrong."""

import sys
import threading
import time
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from sqlalchemy import make_url

from placeholder_service.analytics import client as clients
from placeholder_service.analytics.client import (
    LazyClient,
    NotMigratedError,
    UnreachableError,
    connect_arguments,
    explained,
    open_client,
)

NOBODY = make_url("clickhouse://user:secret@127.0.0.1:1/service")


class FakeClient:
    """A client that knows whether it was closed."""

    is_closed = False

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


def test_where_nobody_answers_the_error_tells_what_to_do() -> None:
    with pytest.raises(UnreachableError) as error:
        open_client(NOBODY)

    message = str(error.value)
    assert message.startswith("ClickHouse at 127.0.0.1:1 cannot be reached: ")
    assert message.endswith("Next: check the server and CLICKHOUSE_URL")
    assert "secret" not in message


@pytest.mark.parametrize("code", [60, 81])
def test_what_migrations_would_have_made_is_named_as_such(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(**_: Any) -> Client:
        raise DatabaseError("there is no such thing", code=code)

    monkeypatch.setattr("clickhouse_connect.get_client", fail)

    with pytest.raises(NotMigratedError, match="has no database service"):
        open_client(NOBODY)
    with pytest.raises(NotMigratedError, match="is not migrated"), explained():
        fail()


def test_where_another_process_has_the_folder_the_error_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(**_: Any) -> Client:
        raise DatabaseError("Cannot lock file /data/status.", code=76)

    monkeypatch.setattr("clickhouse_connect.get_client", fail)

    with pytest.raises(UnreachableError, match="Next: stop the process that uses the folder"):
        open_client(make_url("chdb:///data/clickhouse"))


def test_other_failures_keep_their_reason() -> None:
    with pytest.raises(UnreachableError, match="ClickHouse failed: no memory"), explained():
        raise DatabaseError("no memory.\nmore", code=241)


def test_without_chdb_the_error_asks_for_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chdb", None)
    monkeypatch.delitem(sys.modules, "clickhouse_connect.driver._chdbclient", False)
    monkeypatch.delitem(sys.modules, "clickhouse_connect.driver._backend.chdb_backend", False)

    with pytest.raises(UnreachableError, match="needs chdb, which only development has"):
        open_client(make_url("chdb:///tmp/clickhouse"))


def test_threads_share_one_client_which_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    started = threading.Barrier(8)

    def open_one(_: object) -> Any:
        # Long enough for the other threads to come.
        time.sleep(0.05)
        opened.append(FakeClient())
        return opened[-1]

    def get() -> None:
        started.wait()
        lazy.get()

    monkeypatch.setattr(clients, "open_client", open_one)
    lazy: Any = LazyClient(NOBODY)
    threads = [threading.Thread(target=get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = len(opened)

    lazy.close()
    lazy.close()
    lazy.get()

    assert before == 1
    assert [fake.is_closed for fake in opened] == [True, False]


def test_a_client_that_was_given_is_not_closed() -> None:
    given: Any = FakeClient()
    lazy = LazyClient(NOBODY, given)

    lazy.close()

    assert not given.is_closed
    assert lazy.get() is given


def test_a_server_is_asked_without_sessions() -> None:
    arguments = connect_arguments(NOBODY)

    # Queries of one session may not run at the same time.
    assert arguments["autogenerate_session_id"] is False
