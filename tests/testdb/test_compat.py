"""The tests of a release run on the schema of a later checkout: old code meets the new schema."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.running import LIMIT, clean_environment, run, succeeded, wait_until
from tests.testdb.conftest import SOURCES, RunPython, Suite

IDENTITY = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
TESTS = ("-p", "testdb.plugin", "tests/test_db_session.py", "-k", "foreign_keys or committed_rows")

REVISION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"


def upgrade():
    {upgrade}
"""
ADD = 'op.add_column("users", sa.Column("locale", sa.String(20)))'
# As in migrator's guide.
RENAME = 'op.alter_column("users", "name", new_column_name="full_name")'


@dataclass(frozen=True)
class Repository:
    """A git repository that has the sample service in a folder.

    Attributes:
        folder: The folder of the service.
        temporary: Where temporary files go.

    """

    folder: Path
    temporary: Path

    def git(self, *words: str) -> str:
        """Run git and return what it prints."""
        return succeeded(run("git", *IDENTITY, *words, cwd=self.folder)).strip()

    def write_revision(self, upgrade: str) -> None:
        """Write a revision, and code that only the release before it can do without."""
        path = self.folder / "migrations" / "versions" / "0003_new.py"
        path.write_text(REVISION.format(upgrade=upgrade))
        (self.folder / "service" / "models.py").write_text("raise RuntimeError('the new code')\n")


@pytest.fixture
def repository(suite: Suite, tmp_path: Path) -> Repository:
    """Return the service with a release that has the tag v1."""
    repository = Repository(tmp_path / "repository" / "service", tmp_path / "temporary")
    repository.temporary.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", ".*_cache")
    shutil.copytree(suite("sync"), repository.folder, ignore=ignore)
    succeeded(run("git", "init", "--quiet", cwd=tmp_path / "repository"))
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "release")
    repository.git("tag", "v1")
    return repository


@pytest.mark.parametrize(
    ("upgrade", "base", "code"), [(ADD, "v1", 0), (RENAME, "", 1)], ids=["added", "renamed"]
)
def test_the_released_code_is_tested_on_the_new_schema(
    repository: Repository, run_python: RunPython, upgrade: str, base: str, code: int
) -> None:
    repository.write_revision(upgrade)

    done = run_python(
        *("-m", "testdb.compat", "--base", base, *TESTS),
        cwd=repository.folder,
        TMPDIR=str(repository.temporary),
    )

    assert done.returncode == code, done.stdout
    assert "the new code" not in done.stdout
    assert ("The code of v1 fails on the schema of this checkout" in done.stdout) == bool(code)
    assert ("has no column named name" in done.stdout) == bool(code)
    assert ("3 passed" in done.stdout) == (not code)
    assert [*repository.temporary.glob("compat-*")] == []
    assert len(repository.git("worktree", "list").splitlines()) == 1


WAITING = """
import os, pathlib, time

def test_waits():
    pathlib.Path(os.environ["BEGUN"]).write_text(str(os.getpid()))
    while True:
        time.sleep(1)
"""


def test_a_run_that_is_stopped_leaves_nothing(repository: Repository, tmp_path: Path) -> None:
    (repository.folder / "test_waits.py").write_text(WAITING)
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--amend", "--no-edit")
    begun = tmp_path / "begun"
    variables = {"BEGUN": str(begun), "TMPDIR": str(repository.temporary)}

    with subprocess.Popen(
        [sys.executable, "-m", "testdb.compat", "--base", "HEAD", "test_waits.py"],
        cwd=repository.folder,
        env={**clean_environment(), **variables, "PYTHONPATH": str(SOURCES)},
        text=True,
    ) as process:
        wait_until(lambda: begun.exists() and begun.read_text() != "", process)
        process.terminate()
        process.wait(LIMIT)

    assert process.returncode == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)
    assert [*repository.temporary.glob("compat-*")] == []
    assert len(repository.git("worktree", "list").splitlines()) == 1


def test_the_guide_of_migrator_shows_the_case_that_is_caught() -> None:
    guide = SOURCES.parents[1] / "migrator" / "docs" / "changing-a-schema.md"

    assert f"    {RENAME}\n" in guide.read_text()


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("v9", "Not run: git cannot check v9 out: fatal: invalid reference: v9."),
        (
            "",
            "Not run: git has no tag here: fatal: No names found, cannot describe anything.",
        ),
    ],
)
def test_a_release_that_git_does_not_have_is_named(
    repository: Repository, run_python: RunPython, base: str, message: str
) -> None:
    repository.git("tag", "--delete", "v1")

    done = run_python("-m", "testdb.compat", "--base", base, cwd=repository.folder)

    assert (done.returncode, message in done.stdout) == (2, True), done.stdout
