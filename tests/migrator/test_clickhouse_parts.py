"""What the migrations of ClickHouse do without it: they take turns, and report what went wrong."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from alembic.script import ScriptDirectory
from clickhouse_connect.driver.httpclient import HttpClient
from migrator import BackupError, Exit, LockTimeoutError
from migrator.clickhouse import ClickHouse, backup, connections, history, replicas, status
from migrator.clickhouse.connections import (
    MissingDatabaseError,
    make_engine,
    open_client,
    with_time_to_answer,
)
from migrator.clickhouse.locks import take_turns
from migrator.clickhouse.replicas import replicate
from migrator.clickhouse.status import interpret
from migrator.errors import UnreachableError
from migrator.history import Entry
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from tests.migrator.project import Project
from tests.migrator.sample.clickhouse import run

SERVER = make_url("clickhouse://me:secret@server:8123/events")


@pytest.fixture
def events(sqlite_project: Project, monkeypatch: pytest.MonkeyPatch) -> ClickHouse:
    """Return the migrations of a ClickHouse server, beside those of a SQLite file."""
    monkeypatch.setenv("SAMPLE", str(sqlite_project.root))
    monkeypatch.setenv("DATABASE_URL", sqlite_project.database.url.render_as_string())
    monkeypatch.setenv("CLICKHOUSE_URL", SERVER.render_as_string(hide_password=False))
    monkeypatch.setenv("MIGRATION_WAIT_SECONDS", "0.2")
    database = sqlite_project.having(wait_seconds=0.2).database
    return ClickHouse(
        url=SERVER,
        ini=database.ini,
        section="events",
        name=database.name,
        backup_folder=database.backup_folder,
        turns=database,
    )


@pytest.fixture
def scripts(events: ClickHouse) -> ScriptDirectory:
    """Return the revision files."""
    return events.scripts()


def test_runs_on_a_server_take_turns(project: Project) -> None:
    database = project.having(wait_seconds=0.2).database
    with (
        take_turns(database),
        pytest.raises(LockTimeoutError, match=r"another run did not end in 0.2 s"),
        take_turns(database),
    ):
        pytest.fail("two runs had the lock")

    with take_turns(project.database), take_turns(project.database, "-scratch"):
        pass


def test_the_lock_of_a_sqlite_file_does_not_stop_its_writers(sqlite_project: Project) -> None:
    with take_turns(sqlite_project.database):
        code = sqlite_project.run("upgrade")

    assert code == Exit.DONE


def test_a_lock_of_another_run_ends_the_command(
    events: ClickHouse,
    scripts: ScriptDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ClickHouse, "status", lambda *_: interpret(scripts, (), {}))

    with take_turns(events.turns):
        code = run(["upgrade", "--events"])

    message = capsys.readouterr().err
    assert code == Exit.LOCKED
    assert message.startswith("Could not get a lock in time: another run did not end in 0.2 s.\n")
    assert "Next: wait for the other session, or raise MIGRATION_WAIT_SECONDS, then" in message


def test_a_server_without_the_database_has_an_empty_schema(
    events: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def missing(_: ClickHouse) -> Iterator[Any]:
        raise MissingDatabaseError
        yield

    monkeypatch.setattr(ClickHouse, "reading", missing)

    assert events.status().revision == "an empty schema"


def test_a_run_creates_the_database_that_its_server_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, client = MagicMock(), MagicMock()
    engine.connect.side_effect = [MissingDatabaseError, "a connection"]
    opened = MagicMock(return_value=client)
    monkeypatch.setattr(connections, "make_engine", lambda _: engine)
    monkeypatch.setattr(connections, "open_client", opened)

    connection: Any = connections.open_or_create(SERVER)

    assert connection == "a connection"
    opened.assert_called_once_with(SERVER.set(database="default"))
    client.command.assert_called_once_with(
        "CREATE DATABASE IF NOT EXISTS {name:Identifier}", {"name": "events"}
    )


@pytest.mark.parametrize("url", ["mysql://me:secret@server/events", "sqlite://"])
def test_a_url_of_something_else_is_refused_without_repeating_it(
    events: ClickHouse, url: str
) -> None:
    with pytest.raises(ValueError, match="expected chdb:///FOLDER or clickhouse://") as caught:
        events.at(make_url(url))

    assert "secret" not in str(caught.value)


@pytest.mark.usefixtures("events")
def test_the_work_of_another_run_is_not_claimed(
    scripts: ScriptDirectory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [head] = scripts.get_heads()
    states = iter([interpret(scripts, (), {}), interpret(scripts, (head,), {})])
    monkeypatch.setattr(ClickHouse, "status", lambda *_: next(states))
    monkeypatch.setattr(ClickHouse, "upgrade", lambda *_, **__: None)
    monkeypatch.setattr(ClickHouse, "faults", lambda _: [])

    code = run(["upgrade", "--events"])

    printed = capsys.readouterr().out
    assert code == Exit.DONE
    assert printed == f"Nothing left to do: another run has upgraded ClickHouse to {head}.\n"


@pytest.mark.usefixtures("events")
def test_a_server_that_dies_during_a_run_cannot_be_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def die(*_: object) -> None:
        raise DBAPIError("SELECT", None, ConnectionError("the line is dead"))

    monkeypatch.setattr(ClickHouse, "status", die)

    code = run(["upgrade", "--events"])

    assert code == Exit.FAILED
    assert capsys.readouterr().err == (
        "Failed: the line is dead.\n"
        "ClickHouse cannot be reached to read its revision."
        " Next: check the server and CLICKHOUSE_URL, then run the same command again.\n"
    )


@pytest.mark.parametrize("connect", [open_client, lambda url: make_engine(url).connect()])
def test_a_server_that_accepts_and_does_not_answer_is_given_up(
    monkeypatch: pytest.MonkeyPatch, connect: Callable[[URL], object]
) -> None:
    monkeypatch.setattr(connections, "LOGIN_SECONDS", 1)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = SERVER.set(host="127.0.0.1", port=silent.getsockname()[1])

        with pytest.raises(UnreachableError, match=r"cannot be reached: .*Read timed out"):
            connect(url)


def test_a_statement_has_more_time_than_the_login() -> None:
    client = with_time_to_answer(MagicMock(spec=HttpClient))

    assert isinstance(client, HttpClient)
    assert client.timeout.read_timeout == connections.ANSWER_SECONDS


@pytest.mark.usefixtures("events")
def test_revisions_of_clickhouse_are_not_squashed(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["new", "--events", "--squash", "0001"])

    assert code == Exit.REFUSED
    assert "are squashed by hand" in capsys.readouterr().err


def test_a_copy_with_too_few_rows_is_not_a_backup(tmp_path: Path) -> None:
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
    monkeypatch.setattr(status, "POLL_SECONDS", 0)
    monkeypatch.setattr("alembic.runtime.migration.MigrationContext.configure", MagicMock())

    assert status.read_revisions(connection) == ()
    assert connection.scalar.call_count == 3


def test_branches_that_need_a_person_are_left_alone(scripts: ScriptDirectory) -> None:
    found = interpret(scripts, ("0001", "of another version"), {})

    assert found.revisions == ("0001", "of another version")
    assert found.unfinished is None


def test_a_revision_marked_by_hand_needs_no_history(scripts: ScriptDirectory) -> None:
    history: dict[str, Entry] = {}

    found = interpret(scripts, ("0001",), history)

    assert [script.revision for script in found.applied] == ["0001"]
    assert found.unfinished is None


@pytest.mark.parametrize(
    ("single", "cluster"),
    [
        ("ENGINE = MergeTree ORDER BY n", "ENGINE = ReplicatedMergeTree ORDER BY n"),
        ("engine=SummingMergeTree(n)", "ENGINE=ReplicatedSummingMergeTree(n)"),
        ("(n Int8) Engine MergeTree ORDER", "(n Int8) ENGINE ReplicatedMergeTree ORDER"),
        ("ENGINE\n= ReplacingMergeTree", "ENGINE\n= ReplicatedReplacingMergeTree"),
        ("ENGINE = ReplicatedMergeTree", "ENGINE = ReplicatedMergeTree"),
        ("ENGINE = SharedMergeTree", "ENGINE = SharedMergeTree"),
        ("ENGINE = Memory", "ENGINE = Memory"),
        ("SELECT 'MergeTree'", "SELECT 'MergeTree'"),
    ],
)
def test_tables_on_a_cluster_are_replicated(single: str, cluster: str) -> None:
    assert replicate(single) == cluster


def test_every_table_that_a_run_on_a_cluster_creates_is_replicated(
    events: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite in place of a cluster knows no engines, so it fails at the statement it is sent."""
    connection = create_engine("sqlite://").connect()
    monkeypatch.setattr(ClickHouse, "reading", lambda _: connection)
    monkeypatch.setattr(replicas, "DATABASE", text("SELECT 'events', 'Replicated'"))

    with replace(events, replicated=True).only_run() as found:
        sent = []
        for statement in (history.CREATE, text("CREATE TABLE t (n Int8) Engine MergeTree")):
            with pytest.raises(OperationalError) as caught:
                found.execute(statement)
            sent.append(str(caught.value.statement))

    assert "ENGINE = ReplicatedMergeTree" in sent[0]
    assert sent[1] == "CREATE TABLE t (n Int8) ENGINE ReplicatedMergeTree"
