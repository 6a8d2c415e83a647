"""The README works as it stands, in a project that `alembic init` has made."""

import os
import re
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import migrator
import pytest
import sqlalchemy as sa
from migrator import Database, testing

from tests.migrator.project import Project

LIBRARY = Path(migrator.__file__).parents[2]
README = (LIBRARY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

SETTINGS = """
from dataclasses import dataclass
from pathlib import Path

@dataclass
class Settings:
    database_url: str = f"sqlite+aiosqlite:///{Path(__file__).parents[2]}/app.db"
    environment: str = "development"
"""
MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
"""
FIXTURES = """
import pytest
import sqlalchemy as sa
from app.migrate import database

@pytest.fixture
def migrations():
    return database()

@pytest.fixture
def empty_database(tmp_path):
    return sa.make_url(f"sqlite:///{tmp_path}/empty.db")

@pytest.fixture
def rows():
    return {}
"""


def block(words: str) -> str:
    """Return the block of Python with these words."""
    [found] = [block for block in BLOCKS if words in block]
    return str(found)


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """Return a project of somebody else, with the two modules that the README shows."""
    run(tmp_path, "alembic", "init", "migrations")
    env = tmp_path / "migrations" / "env.py"
    text = env.read_text()
    start, end = text.index("def run_migrations_offline"), text.index("if context.is_offline_mode")
    env.write_text(text[:start] + block("Environment(database)") + "\n\n" + text[end:])
    package = tmp_path / "src" / "app"
    package.mkdir(parents=True)
    (package / "settings.py").write_text(SETTINGS)
    (package / "models.py").write_text(MODELS)
    (package / "migrate.py").write_text(block("sys.exit(main(database))\n"))
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "conftest.py").write_text(FIXTURES)
    (tests / "test_migrations.py").write_text(block("from migrator.testing import"))
    return tmp_path


def run(root: Path, *words: str) -> str:
    """Run a module of Python in the stranger's project."""
    path = os.pathsep.join([str(root / "src"), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=root,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_project_of_somebody_else_is_migrated_and_tested(stranger: Path) -> None:
    run(stranger, "app.migrate", "new", "add authors")
    run(stranger, "app.migrate", "upgrade")
    shown = run(stranger, "app.migrate", "status")
    alembic = run(stranger, "alembic", "current")
    tested = run(stranger, "pytest", "-q", "-p", "no:cacheprovider", "tests", "-k", "not linter")

    [revision] = re.findall(r"Revision: (\w+)", shown)
    assert f"Head:     {revision}\n  applied  {revision}  add authors" in shown
    assert f"{revision} (head)" in alembic
    assert "8 passed, 1 deselected" in tested


def test_a_project_with_a_history_of_its_own_gets_migrate_sh(stranger: Path) -> None:
    env = stranger / "migrations" / "env.py"
    connected = env.read_text()
    run(stranger, "alembic", "init", "stock")
    env.write_text((stranger / "stock" / "env.py").read_text())
    before = f"sqlite:///{stranger}/app.db"
    ini = stranger / "alembic.ini"
    ini.write_text(
        re.sub(r"(?m)^sqlalchemy.url = .*", f"sqlalchemy.url = {before}", ini.read_text())
    )
    run(stranger, "alembic", "revision", "-m", "before", "--rev-id", "1")
    run(stranger, "alembic", "upgrade", "head")

    env.write_text(connected)
    run(stranger, "alembic", "revision", "-m", "after", "--rev-id", "2")
    script = stranger / "scripts" / "migrate.sh"
    script.parent.mkdir()
    [text] = re.findall(r"   ```sh\n(.*?)   ```", README, re.DOTALL)
    script.write_text(re.sub("(?m)^   ", "", text))
    outputs = [migrate_sh(script, *arguments) for arguments in ([], ["--plan"], ["--help"])]

    assert "after" in outputs[0]
    assert "Nothing to do" in outputs[1]
    assert "upgrade" in outputs[2]
    shown = run(stranger, "app.migrate", "status")
    assert "Revision: 2" in shown


def migrate_sh(script: Path, *arguments: str) -> str:
    """Run the script from another folder."""
    done = subprocess.run(
        ["sh", script, *arguments],
        cwd="/",
        env={
            "PATH": os.environ["PATH"],
            "PYTHON": sys.executable,
            "PYTHONPATH": os.pathsep.join([str(script.parents[1] / "src"), *sys.path]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_readme_lists_all_ready_made_tests() -> None:
    names = re.findall(r"    (test_\w+),", block("from migrator.testing import"))

    assert names == [name for name in testing.__all__ if name.startswith("test_")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("op.execute('UPDATE authors SET name = trim(name)')", nullcontext()),
        ("pass", pytest.raises(AssertionError)),
    ],
    ids=["right", "wrong"],
)
def test_the_example_tests_a_revision_that_changes_rows(
    project: Project, change: str, expected: AbstractContextManager[object]
) -> None:
    project.write("trim_names", change, "pass")
    example: dict[str, Any] = {"Database": Database, "URL": sa.URL, "text": sa.text}
    exec(block("trim_names"), example)  # noqa: S102  # what readers copy

    with expected:
        example["test_names_lose_the_spaces_around_them"](project.database, project.database.url)


def test_the_readme_lists_all_fields_commands_and_names() -> None:
    shown = [*Database.__dataclass_fields__, "upgrade", "downgrade", "status", "new", "lint"]

    assert {
        name for name in shown if not re.search(rf"^\| `{name}\b", README, re.MULTILINE)
    } == set()
    assert {name for name in migrator.HOMES if name not in README} == set()
