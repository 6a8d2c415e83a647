"""Runs of ClickHouse's migrations that fail, are killed, or meet others."""

import os
import shutil
import signal
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from migrator import Exit
from migrator.clickhouse.connections import open_client
from sqlalchemy import URL

from tests.migrator import clickhouse_project
from tests.migrator.clickhouse_project import (
    ADD,
    EVENT,
    HEAD,
    REMOVE,
    VERSIONS,
    Embedded,
    Fault,
    Project,
    start,
)
from tests.running import LIMIT


def test_a_connection_of_the_callers_gets_no_history(embedded: Embedded) -> None:
    embedded.project.write("extra", ADD, REMOVE)

    ways = embedded.process.submit(clickhouse_project.walk, embedded.project).result()

    assert ways == ["extra", "extra", HEAD, HEAD]
    assert "migration_history" not in embedded.catalogue()


def test_rows_survive_an_upgrade(migrated: Embedded) -> None:
    migrated.query(EVENT)
    migrated.project.write("extra", ADD, REMOVE)

    migrated.run("upgrade", "--events")

    assert migrated.query("SELECT count() FROM events") == [(3,)]


@pytest.fixture
def states(embedded: Embedded) -> dict[str, dict[str, str]]:
    """Return the catalogue at each revision; a folder of its name holds the data of ClickHouse."""
    embedded.project.write("extra", ADD, REMOVE)
    found = {}
    for revision in (HEAD, "extra"):
        embedded.run("upgrade", "--events", revision)
        found[revision] = embedded.catalogue()
        shutil.copytree(embedded.project.folder, embedded.project.root / revision, symlinks=True)
    return found


@pytest.mark.parametrize(
    ("before", "broken", "repeated", "after"),
    [
        (HEAD, ["upgrade"], ["upgrade"], "extra"),
        (HEAD, ["upgrade"], ["downgrade", "--yes", HEAD], HEAD),
        ("extra", ["downgrade", "--yes", HEAD], ["downgrade", "--yes", HEAD], HEAD),
        ("extra", ["downgrade", "--yes", HEAD], ["upgrade"], "extra"),
    ],
)
def test_a_run_that_fails_after_any_statement_can_be_repeated(
    embedded: Embedded,
    states: dict[str, dict[str, str]],
    before: str,
    broken: list[str],
    repeated: list[str],
    after: str,
) -> None:
    for number in range(1, 20):
        shutil.rmtree(embedded.project.folder)
        source = embedded.project.root / before
        shutil.copytree(source, embedded.project.folder, symlinks=True)

        failed = embedded.run(*broken, "--events", fault=Fault(number))
        done = embedded.run(*repeated, "--events")

        story = (number, failed, done)
        assert done.code == Exit.DONE, story
        assert embedded.catalogue() == states[after], story
        assert embedded.query(VERSIONS) == [(after,)], story
        if failed.code == Exit.DONE:
            break
    assert number == 7, "two statements of the history, two of the revision, two of its version"


# In the middle of a revision, and between the two statements that change the version.
@pytest.mark.parametrize("number", [2, 5])
def test_a_run_that_is_killed_can_be_repeated(migrated: Embedded, number: int) -> None:
    before = migrated.catalogue().keys()
    migrated.project.write("extra", ADD, REMOVE)
    killed = start(migrated.project, "upgrade", "--events", fault=Fault(number, kill=True))

    killed.communicate()
    shown = migrated.run("status", "--events")
    repeated = migrated.run("upgrade", "--events")

    assert killed.returncode == -signal.SIGKILL
    assert "begun    extra" in shown.out
    assert repeated.code == Exit.DONE, repeated
    assert migrated.query(VERSIONS) == [("extra",)]
    assert migrated.catalogue().keys() == before | {"extra"}


@pytest.mark.parametrize("number", [2, 5])
def test_a_first_run_that_is_killed_can_be_undone(embedded: Embedded, number: int) -> None:
    killed = start(embedded.project, "upgrade", "--events", fault=Fault(number, kill=True))

    killed.communicate()
    undone = embedded.run("downgrade", "--events", "--yes", "base")

    assert killed.returncode == -signal.SIGKILL
    assert undone.code == Exit.DONE, undone
    assert embedded.catalogue() == {}


def test_simultaneous_runs_on_a_folder_take_turns(embedded: Embedded) -> None:
    project = embedded.project.having(MIGRATION_WAIT_SECONDS=str(LIMIT))
    runs = [start(project, "upgrade", "--events") for _ in range(4)]

    printed = [run.communicate()[0] for run in runs]

    assert {run.returncode for run in runs} == {Exit.DONE}, printed
    assert sum("Upgraded ClickHouse" in text for text in printed) == 1, printed
    assert embedded.query(VERSIONS) == [(HEAD,)]


@pytest.mark.skipif("TEST_CLICKHOUSE_HOST" not in os.environ, reason="there is no server")
def test_simultaneous_runs_on_a_server_apply_each_revision_once(tmp_path: Path) -> None:
    url = URL.create(
        "clickhouse",
        username=os.environ.get("TEST_CLICKHOUSE_USER", "default"),
        password=os.environ.get("TEST_CLICKHOUSE_PASSWORD"),
        host=os.environ["TEST_CLICKHOUSE_HOST"],
        port=int(os.environ.get("TEST_CLICKHOUSE_PORT", "8123")),
        database=f"test_{uuid4().hex}",
    )
    address = url.render_as_string(hide_password=False)
    project = Project.in_folder(tmp_path).having(CLICKHOUSE_URL=address)
    try:
        runs = [start(project, "upgrade", "--events") for _ in range(3)]
        printed = [run.communicate()[0] for run in runs]
        undone = start(project, "downgrade", "--events", "--yes", "base")
        printed_then, _ = undone.communicate()
    finally:
        with closing(open_client(url.set(database="default"))) as client:
            client.command(f"DROP DATABASE IF EXISTS {url.database}")

    assert [run.returncode for run in runs] == [Exit.DONE] * 3, printed
    assert sum("Upgraded ClickHouse" in text for text in printed) == 1, printed
    assert undone.returncode == Exit.DONE, printed_then
