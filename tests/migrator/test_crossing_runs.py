"""Runs of different checkouts cross: each acts on what it finds once the others are kept away."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from migrator import Exit, RefusedError, runs

from tests.migrator.project import COMMANDS, HEAD, Project
from tests.running import LIMIT

ADD_COLUMN = 'op.add_column("authors", sa.Column("nick", sa.Text))'

Crossing = Callable[[Callable[[], Any]], None]


@pytest.fixture
def before_the_lock(monkeypatch: pytest.MonkeyPatch) -> Crossing:
    """Return a function that lets something happen between a run's first look and its lock."""
    run = runs.run

    def cross(happen: Callable[[], Any]) -> None:
        def interrupted(*arguments: Any, **options: Any) -> None:
            monkeypatch.setattr(runs, "run", run)
            happen()
            run(*arguments, **options)

        monkeypatch.setattr(runs, "run", interrupted)

    return cross


@pytest.fixture
def newer(project: Project, tmp_path: Path) -> Project:
    """Return a checkout of the same project that has one more revision."""
    root = tmp_path / "newer"
    shutil.copytree(project.root, root)
    other = project.having(ini=root / "alembic.ini")
    other.write("newer", ADD_COLUMN)
    return other


def test_an_older_checkout_is_refused_where_a_newer_one_was_first(
    project: Project,
    newer: Project,
    before_the_lock: Crossing,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before_the_lock(newer.upgraded)

    code = project.run("upgrade")

    assert code == Exit.REFUSED
    assert "the database is at newer, which these migrations do not have" in capsys.readouterr().err
    assert newer.database.status().revision == "newer"


def test_an_older_checkout_has_done_its_part_if_a_newer_one_goes_on(
    project: Project,
    newer: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = runs.run

    def followed(*arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(runs, "run", run)
        run(*arguments, **options)
        newer.upgraded()

    monkeypatch.setattr(runs, "run", followed)

    code = project.run("upgrade")

    printed = capsys.readouterr().out
    assert code == Exit.DONE
    assert f"Upgraded the database from an empty schema to {HEAD} in" in printed
    assert "Another version of the code has taken it to newer since.\n" in printed


@pytest.mark.parametrize(
    ("other", "code", "message"),
    [
        ("0003", Exit.DONE, "Nothing left to do: another run has taken the database to 0003.\n"),
        (
            "0002",
            Exit.REFUSED,
            "to 0002 meanwhile. Next: scripts/migrate-status.sh shows its state.\n",
        ),
    ],
)
def test_a_downgrade_undoes_only_what_it_has_listed(
    project: Project,
    before_the_lock: Crossing,
    capsys: pytest.CaptureFixture[str],
    other: str,
    code: Exit,
    message: str,
) -> None:
    project.upgraded()
    before_the_lock(lambda: project.database.downgrade(other))

    found = project.run("downgrade", "--yes", "0003")

    printed = capsys.readouterr()
    assert found == code
    assert (printed.out + printed.err).endswith(message)
    assert project.database.status().revision == other
    assert not (project.root / "backups").exists()


def test_tables_that_go_while_their_rows_are_counted_are_no_fault(
    postgresql_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = postgresql_project.upgraded().database.status()

    def drop(_: object) -> set[str]:
        postgresql_project.execute("DROP TABLE books CASCADE")
        return set()

    monkeypatch.setattr("migrator.losses.find_hidden", drop)

    with pytest.raises(RefusedError, match="another run changed the database"):
        postgresql_project.database.losses(found, "base")


def test_four_downgrades_at_once_end_well(project: Project) -> None:
    project.upgraded()

    started = [project.start(COMMANDS, "downgrade", "--yes", "base") for _ in range(4)]
    printed = [process.communicate(timeout=LIMIT)[0] for process in started]

    assert {process.returncode for process in started} <= {Exit.DONE, Exit.REFUSED}, printed
    assert sum(f"Downgraded the database from {HEAD}" in text for text in printed) == 1, printed
    assert project.tables() == set()
