"""Crowds of runs, and killed runs: each revision is applied once and whole, and no row is lost."""

import json
from typing import Any

import pytest
from migrator import Exit, testing

from tests.migrator.project import REVISIONS, Project
from tests.migrator.ten_revisions import NAMES, write_revisions

CONCURRENT_INDEX = """
op.execute("SELECT 1")
with op.get_context().autocommit_block():
    op.drop_index("ix_authors_name", if_exists=True, postgresql_concurrently=True)
    op.create_index("ix_authors_name", "authors", ["name"], postgresql_concurrently=True)
"""
ALL_ROWS = [200, 200]
# Enough for each kill to come after another number of revisions.
KILLS = 11

Found = dict[str, Any]


def rounds(few: int, many: int) -> pytest.MarkDecorator:
    """Run a test with few rounds, and with many where all tests run."""
    return pytest.mark.parametrize("count", [few, pytest.param(many, marks=pytest.mark.complete)])


def run_rounds(project: Project, kind: str, count: int) -> list[Found]:
    """Run rounds in a process of their own, and return what each left behind."""
    process = project.start(
        # Programs take longer to start than a round takes, so they do in one of ten.
        *("tests.migrator.rounds", kind, str(count), str(count // 10)),
        # No run gives up because the machine is busy.
        MIGRATION_WAIT_SECONDS="600",
    )
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    found: list[Found] = json.loads(printed.splitlines()[-1])
    assert len(found) >= count
    return found


@rounds(2, 20)
def test_eight_at_once_apply_each_revision_once(project: Project, count: int) -> None:
    write_revisions(project)

    for found in run_rounds(project, "together", count):
        check_together(found, [*REVISIONS, *NAMES])


@rounds(2, 10)
def test_eight_at_once_build_an_index_concurrently(postgresql_project: Project, count: int) -> None:
    write_revisions(postgresql_project)
    postgresql_project.write("concurrent", CONCURRENT_INDEX)

    for found in run_rounds(postgresql_project, "together", count):
        check_together(found, [*REVISIONS, *NAMES, "concurrent"])


@rounds(KILLS, 30)
def test_killed_at_any_moment_the_next_run_finishes_the_job(project: Project, count: int) -> None:
    write_revisions(project)

    killed = run_rounds(project, "killed", count)

    for found in killed:
        check_killed(found, [*REVISIONS, *NAMES])
    hits = {found["reported"] for found in killed} - {0, len(NAMES)}
    assert len(hits) > 1, "no kill hit a migration"


@rounds(KILLS, 30)
def test_killed_while_it_builds_an_index_the_next_run_finishes_the_job(
    postgresql_project: Project, count: int
) -> None:
    write_revisions(postgresql_project, NAMES[:1])
    postgresql_project.write("concurrent", CONCURRENT_INDEX)

    killed = run_rounds(postgresql_project, "killed", count)

    for found in killed:
        check_killed(found, [*REVISIONS, "r01", "concurrent"], is_concurrent=True)
    assert 1 in [found["reported"] for found in killed], "no kill came between the two revisions"


def test_the_stairway_passes_ten_revisions(project: Project) -> None:
    write_revisions(project)
    target = project.database

    testing.test_every_downgrade_restores_the_schema(target, target.url)


def check_together(found: Found, revisions: list[str]) -> None:
    """Check what a round of eight processes left."""
    assert found["codes"] == [Exit.DONE] * 8, found["said"]
    assert found["revision"] == revisions[-1]
    assert found["history"] == revisions
    assert (found["rows"], found["faults"]) == (ALL_ROWS, [])


def check_killed(found: Found, revisions: list[str], *, is_concurrent: bool = False) -> None:
    """Check what a killed run left, and what the next one made of it."""
    assert found["code"] in (-9, Exit.DONE)
    assert found["is whole"] or (is_concurrent and found["revision"] == "r01"), found
    assert found["rows"] == ALL_ROWS
    assert found["again"] == Exit.DONE, found["said"]
    assert found["finished"], found
    assert found["history"] == revisions
    assert (found["rows again"], found["faults"]) == (ALL_ROWS, [])
