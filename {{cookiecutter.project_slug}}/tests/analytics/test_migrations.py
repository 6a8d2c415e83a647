"""The migrations of ClickHouse: what they leave, what the scripts say, what a kill does to them."""

import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from {{cookiecutter.package_name}}.analytics.migrate.config import script_directory
from {{cookiecutter.package_name}}.db.migrate.commands import (
    DONE,
    FAILED,
    LOCKED,
    REFUSED,
    USAGE,
)

from tests.analytics import migrations
from tests.analytics.migrations import Done, Fault, Project

pytestmark = [pytest.mark.integration, pytest.mark.slow]

REVISIONS = [script.revision for script in reversed(list(script_directory().walk_revisions()))]
HEAD = REVISIONS[-1]

ADD = """
op.execute("ALTER TABLE events ADD COLUMN IF NOT EXISTS source String")
op.execute("CREATE TABLE IF NOT EXISTS extra (n Int64) ENGINE = MergeTree ORDER BY n")
"""
REMOVE = """
op.execute("DROP TABLE IF EXISTS extra")
op.execute("ALTER TABLE events DROP COLUMN IF EXISTS source")
"""
VERSIONS = "SELECT version_num FROM alembic_version"


class Embedded:
    """A project, and the process in which its ClickHouse runs."""

    def __init__(self, project: Project, process: ProcessPoolExecutor) -> None:
        self.project = project
        self.process = process

    @property
    def folder(self) -> Path:
        """Where its ClickHouse keeps its data."""
        return self.project.root / "clickhouse"

    def run(self, *arguments: str, fault: Fault | None = None) -> Done:
        """Run a command as the scripts do."""
        return self.process.submit(
            partial(migrations.run, self.project, *arguments, fault=fault)
        ).result()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what ClickHouse answers."""
        return self.process.submit(migrations.ask, self.project, sql).result()

    def catalogue(self) -> dict[str, str]:
        """Return what ClickHouse says of each table."""
        return self.process.submit(migrations.catalogue, self.project).result()


@pytest.fixture(scope="module")
def process() -> Iterator[ProcessPoolExecutor]:
    """A process for ClickHouse."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.fixture
def embedded(process: ProcessPoolExecutor, tmp_path: Path) -> Embedded:
    """A project whose ClickHouse is not there yet."""
    return Embedded(Project.in_folder(tmp_path), process)


def test_there_is_one_head() -> None:
    assert len(script_directory().get_heads()) == 1


def test_every_revision_goes_up_and_down_and_up_again(embedded: Embedded) -> None:
    embedded.run("upgrade", "--analytics")
    embedded.run("downgrade", "--analytics", "--yes", "base")
    ways = {}

    for revision in REVISIONS:
        before = embedded.catalogue()
        embedded.run("upgrade", "--analytics", revision)
        applied = embedded.catalogue()
        embedded.run("downgrade", "--analytics", "--yes")
        after = embedded.catalogue()
        embedded.run("upgrade", "--analytics", revision)
        ways[revision] = (before == after, applied == embedded.catalogue(), before == applied)

    assert ways == dict.fromkeys(REVISIONS, (True, True, False))


def test_the_tables_are_those_that_the_service_knows(embedded: Embedded) -> None:
    embedded.run("upgrade", "--analytics")

    assert set(embedded.catalogue()) == {
        "alembic_version",
        "events",
        "metrics",
        "migration_history",
    }


@pytest.fixture
def states(embedded: Embedded) -> dict[str, dict[str, str]]:
    """The catalogue at each revision; the folders are kept under the revisions' names."""
    found = {"base": embedded.catalogue()}
    embedded.project.write("extra", ADD, REMOVE)
    shutil.copytree(embedded.folder, embedded.project.root / "base", symlinks=True)
    for revision in ("0001", "extra"):
        embedded.run("upgrade", "--analytics", revision)
        found[revision] = embedded.catalogue()
        shutil.copytree(embedded.folder, embedded.project.root / revision, symlinks=True)
    return found


@pytest.mark.parametrize(
    ("start", "broken", "repeated", "end"),
    [
        ("base", ["upgrade"], ["upgrade"], "extra"),
        ("0001", ["upgrade"], ["downgrade", "--yes", "0001"], "0001"),
        ("extra", ["downgrade", "--yes", "0001"], ["downgrade", "--yes", "0001"], "0001"),
        ("extra", ["downgrade", "--yes", "0001"], ["upgrade"], "extra"),
        ("extra", ["downgrade", "--yes", "base"], ["downgrade", "--yes", "base"], "base"),
    ],
)
def test_a_run_that_fails_after_any_statement_can_be_repeated(
    embedded: Embedded,
    states: dict[str, dict[str, str]],
    start: str,
    broken: list[str],
    repeated: list[str],
    end: str,
) -> None:
    for number in range(1, 50):
        shutil.rmtree(embedded.folder)
        shutil.copytree(embedded.project.root / start, embedded.folder, symlinks=True)

        failed = embedded.run(*broken, "--analytics", fault=Fault(number))
        done = embedded.run(*repeated, "--analytics")

        story = (number, failed, done)
        assert done.code == DONE, story
        if failed.code == DONE:
            break
        assert embedded.catalogue() == states[end], story
        assert end == "base" or embedded.ask(VERSIONS) == [(end,)], story
    assert number > 5
