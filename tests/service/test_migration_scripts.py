"""The scripts of a rendered project: crowds and kills once more, messages, and a stranger's tools.

What migrations do in all of this is tested in `tests/migrator`, on tables of its own.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import LIMIT, UV, clean_environment, run, succeeded, wait_until
from tests.service.conftest import Change
from tests.service.project import PACKAGE, TABLES, Service, combinations

REVISION = '''"""{name}."""

import sqlalchemy as sa
from alembic import op

revision = "{name}"
down_revision = "{before}"


def upgrade() -> None:
    """Upgrade."""
    {code}


def downgrade() -> None:
    """Do nothing."""
'''
# Tells that it runs, and goes on when it may.
PAUSE = """
    import pathlib, time
    pathlib.Path({begun!r}).touch()
    while not pathlib.Path({go!r}).exists():
        time.sleep(0.01)
"""
# An empty database, as a test gets it.
EMPTY = {
    "sqlite": 'f"sqlite:///{tmp_path}/empty.db"',
    "postgresql": 'request.getfixturevalue("postgresql_database")',
}
TESTS_OF_A_STRANGER = """
import pytest
import sqlalchemy as sa
from pytest_alembic.tests import (
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)


@pytest.fixture
def alembic_engine(request, tmp_path):
    engine = sa.create_engine(EMPTY, poolclass=sa.NullPool)
    yield engine
"""


@pytest.fixture
def empty(service: Service) -> Service:
    """Return the installed project with a development database that has no schema."""
    service.migrate()
    succeeded(service.script("migrate-down.sh", "--yes", "base"))
    return service


def start(service: Service) -> subprocess.Popen[str]:
    """Start an upgrade that waits for others as long as they take."""
    return subprocess.Popen(
        ["scripts/migrate.sh"],
        cwd=service.folder,
        env={**clean_environment(), "MIGRATION_WAIT_SECONDS": str(LIMIT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@combinations("sync-sqlite", "async-postgresql")
@pytest.mark.parametrize("crowd", [3, pytest.param(8, marks=pytest.mark.complete)])
def test_scripts_at_once_apply_each_revision_once(empty: Service, crowd: int) -> None:
    runs = [start(empty) for _ in range(crowd)]
    printed = [run.communicate(timeout=LIMIT)[0] for run in runs]

    assert [run.returncode for run in runs] == [0] * crowd, printed
    assert sum("Upgraded the database from" in text for text in printed) == 1
    assert empty.objects() >= TABLES


@combinations("async-postgresql", complete=["sync-sqlite"])
def test_after_a_kill_the_next_script_finishes_the_job(
    empty: Service, change: Change, tmp_path: Path
) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    pause = PAUSE.format(begun=str(begun), go=str(go)).strip()
    revision = REVISION.format(name="paused", before=empty.head, code=pause)
    change(empty.versions / "paused.py", revision)

    with start(empty) as run:
        wait_until(begun.exists, run)
        run.kill()
    go.touch()
    again = succeeded(empty.script("migrate.sh"))
    status = succeeded(empty.script("migrate-status.sh"))
    succeeded(empty.script("migrate-down.sh", "--yes"))

    assert run.returncode < 0
    assert "to paused in" in again
    assert "Head:     paused" in status
    assert empty.objects() >= TABLES


@combinations("async-postgresql", complete=["sync-sqlite"])
@pytest.mark.parametrize(
    ("code", "exit_code", "message"),
    [
        ("x = (", 1, "Failed: '(' was never closed (migrations/versions/bad.py, line 12)"),
        ('op.execute("SELECT nonsense")', 1, "(migrations/versions/bad.py, line 12)."),
    ],
    ids=["syntax", "statement"],
)
def test_a_fault_ends_in_one_message_and_its_exit_code(
    service: Service, change: Change, code: str, exit_code: int, message: str
) -> None:
    service.migrate()
    change(service.versions / "bad.py", REVISION.format(name="bad", before=service.head, code=code))

    result = service.script("migrate.sh")

    assert result.returncode == exit_code
    assert message in result.stderr
    assert "Next: " in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 6


@combinations("sync-sqlite")
def test_a_settings_file_that_ends_early_leads_to_no_other_database(
    service: Service, change: Change
) -> None:
    change(service.folder / ".env", 'LOG_LEVEL=INFO\nDATABASE_URL="sqlite:///data/other.db\n')

    refused = service.script("migrate.sh")

    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith(f"Invalid settings: line 2 of {service.folder}/.env cannot be")
    assert refused.stderr.count("\n") == 1


@combinations("async-postgresql", complete=["sync-sqlite"])
@pytest.mark.parametrize("argument", ["nonsense", "--nonsense"])
def test_wrong_usage_has_an_exit_code_of_its_own(service: Service, argument: str) -> None:
    service.migrate()

    result = service.script("migrate.sh", argument)

    assert result.returncode == 2
    assert "nonsense" in result.stderr


@pytest.fixture
def pytest_alembic(service: Service) -> Iterator[Path]:
    """Install another library's tests of migrations beside the project's environment."""
    folder = service.folder / "data" / "others"
    install = (UV, "pip", "install", "--quiet", "--no-deps", "--target", folder)
    succeeded(service.run(*install, "pytest-alembic==0.13.1"))
    yield folder
    shutil.rmtree(folder)


@combinations("async-postgresql", complete=["sync-sqlite"])
def test_the_tests_of_a_stranger_pass(
    service: Service, pytest_alembic: Path, change: Change
) -> None:
    module = service.folder / "tests" / "migrations" / "test_others.py"
    change(module, TESTS_OF_A_STRANGER.replace("EMPTY", EMPTY[service.database]))

    # Its way to collect them by itself does not work with this pytest.
    options = ("--no-cov", "-q", "-o", "pytest_alembic_tests_path=none")
    result = service.run("pytest", module, *options, PYTHONPATH=str(pytest_alembic))

    assert "4 passed" in succeeded(result)


@pytest.fixture
def released(service: Service) -> Iterator[Service]:
    """Return the installed project with a release, v1, in git. After the test there is none."""
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    for words in (["add", "--all"], ["commit", "--quiet", "--message", "v1"], ["tag", "v1"]):
        succeeded(run("git", *identity, *words, cwd=service.folder))
    yield service
    shutil.rmtree(service.folder / ".git")
    succeeded(run("git", "init", "--quiet", "--initial-branch=main", cwd=service.folder))


@combinations("sync-sqlite")
def test_a_release_is_tested_on_the_new_schema_and_its_revisions_stay(
    released: Service, change: Change
) -> None:
    before = released.head
    add = 'op.add_column("users", sa.Column("locale", sa.String(20)))'
    revision = REVISION.format(name="locale", before=before, code=add)
    change(released.versions / "locale.py", revision)
    first = next(released.versions.glob("0001_*.py"))
    change(first, first.read_text() + "# edited")
    change(released.folder / "src" / PACKAGE / "main.py", "raise RuntimeError('new code')")
    tested = released.make("test-compat", "BASE=v1", "ARGS=-k a_context_leaves")
    linted = released.run("python", "-m", f"{PACKAGE}.migrate", "lint", BASE="v1")

    assert "1 passed" in succeeded(tested)
    assert f"migrations/versions/{first.name}:1: edited was edited since v1" in linted.stdout
    assert "migrations/head.txt:1: head-file does not name the last revision" in linted.stdout
