"""What the migrations of ClickHouse do without it: they take turns, and say what went wrong."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from alembic.script import Script
from sqlalchemy import URL, make_url
from sqlalchemy.exc import DBAPIError

from placeholder_service.analytics.client import NotMigratedError
from placeholder_service.analytics.migrate import (
    backup,
    commands,
    connections,
    state,
)
from placeholder_service.analytics.migrate.config import script_directory
from placeholder_service.db.migrate.backup import BackupError
from placeholder_service.db.migrate.commands import DONE, FAILED, LOCKED
from placeholder_service.db.migrate.errors import LockTimeoutError

pytestmark = pytest.mark.integration

SERVER = make_url("clickhouse://me:secret@server:8123/events")


@pytest.fixture
def on_a_server(monkeypatch: pytest.MonkeyPatch, sqlite_database: URL) -> URL:
    """The settings: a ClickHouse that is a server, and a SQLite file."""
    monkeypatch.setenv("CLICKHOUSE_URL", SERVER.render_as_string(hide_password=False))
    monkeypatch.setenv("DATABASE_URL", sqlite_database.render_as_string())
    monkeypatch.setenv("MIGRATION_WAIT_SECONDS", "0.2")
    return sqlite_database


def test_runs_on_a_server_take_turns(scratch_url: URL) -> None:
    with (
        connections.lock(scratch_url, 0.2),
        pytest.raises(LockTimeoutError, match=r"another run did not end in 0.2 s"),
        connections.lock(scratch_url, 0.2),
    ):
        pytest.fail("two runs had the lock")

    with connections.lock(scratch_url, 0.2):
        pass


def test_a_lock_that_is_not_to_be_had_ends_the_command(
    on_a_server: URL, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "status", lambda: state.interpret((), {}))

    with connections.lock(on_a_server, 1):
        exit_code = commands.main(["upgrade", "--analytics"])

    assert exit_code == LOCKED
    assert "another run did not end in 0.2 s. Next: wait for" in capsys.readouterr().err


@pytest.mark.usefixtures("on_a_server")
def test_a_server_without_the_database_has_an_empty_schema(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextmanager
    def nowhere(_: URL) -> Iterator[Any]:
        raise NotMigratedError
        yield

    monkeypatch.setattr(state, "connecting", nowhere)

    assert state.status().revision == "an empty schema"


@pytest.mark.usefixtures("on_a_server")
def test_a_run_creates_the_database_that_its_server_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, client = MagicMock(), MagicMock()
    engine.connect.side_effect = [NotMigratedError, "a connection"]
    opened = MagicMock(return_value=client)
    monkeypatch.setattr(connections, "make_engine", lambda _: engine)
    monkeypatch.setattr(connections, "open_client", opened)

    connection: Any = connections.open_or_create(SERVER)

    assert connection == "a connection"
    opened.assert_called_once_with(SERVER.set(database="default"))
    client.command.assert_called_once_with(
        "CREATE DATABASE IF NOT EXISTS {name:Identifier}", {"name": "events"}
    )


@pytest.mark.usefixtures("on_a_server")
def test_what_another_run_has_done_meanwhile_is_not_claimed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [head] = script_directory().get_heads()
    stands = iter([state.interpret((), {}), state.interpret((head,), {})])
    monkeypatch.setattr(commands, "status", lambda: next(stands))
    monkeypatch.setattr(commands, "upgrade", lambda *_, **__: None)
    monkeypatch.setattr(commands, "find_faults", lambda _: [])

    exit_code = commands.main(["upgrade", "--analytics"])

    printed = capsys.readouterr().out
    assert exit_code == DONE
    assert printed == f"Nothing left to do: another run has brought ClickHouse to {head}.\n"


@pytest.mark.usefixtures("on_a_server")
def test_a_server_that_dies_during_a_run_cannot_be_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def die() -> None:
        raise DBAPIError("SELECT", None, ConnectionError("the line is dead"))

    monkeypatch.setattr(commands, "status", die)

    exit_code = commands.main(["upgrade", "--analytics"])

    assert exit_code == FAILED
    what, where, *_ = capsys.readouterr().err.splitlines()
    assert what == "Failed: the line is dead."
    assert where.startswith("ClickHouse cannot be asked where it stands")


def test_a_copy_with_too_few_rows_is_no_backup(tmp_path: Path) -> None:
    client = MagicMock()
    client.query.return_value.result_rows = [[3]]
    client.raw_stream.return_value = nullcontext([b"n\n", b"Int64\n", b"1\n", b"2\n"])

    with pytest.raises(BackupError, match="has 2 of 3 rows"):
        backup.copy(client, "events", tmp_path / "events.tsv.gz")


def test_the_revision_is_read_once_the_version_table_is_at_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = MagicMock()
    connection.scalar.side_effect = [1, 1, 0]
    monkeypatch.setattr(state, "POLL_SECONDS", 0)
    monkeypatch.setattr("alembic.runtime.migration.MigrationContext.configure", MagicMock())

    assert state.current_revisions(connection) == ()
    assert connection.scalar.call_count == 3


def test_branches_that_a_person_has_to_sort_out_are_left_as_they_are() -> None:
    stands = state.interpret(("0001", "of another version"), {})

    assert stands.revisions == ("0001", "of another version")
    assert stands.unfinished is None


def test_a_revision_marked_by_hand_needs_no_history() -> None:
    stands = state.interpret(("0001",), {})

    assert [script.revision for script in stands.applied if isinstance(script, Script)] == ["0001"]
    assert stands.unfinished is None
