"""Alembic's configuration and paths of databases: where they are found, and in which forms."""

import re
import shutil
from pathlib import Path

import pytest

from tests.testdb.conftest import RunPython, Suite
from tests.testdb.test_plugin import CONFTEST, PYTEST, UNGUARDED

TOML = '[tool.alembic]\nscript_location = "{}"\n'


@pytest.fixture
def service(suite: Suite, tmp_path: Path) -> Path:
    """Return a project with migrations of its own, and a test that opens its real database."""
    (tmp_path / "migrations").symlink_to(suite("sync") / "migrations")
    shutil.copy(suite("sync") / "alembic.ini", tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(
        UNGUARDED.format(file=str(tmp_path / "real.db")) + NEEDS_MIGRATIONS
    )
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {suite('sync')}\n")
    return tmp_path


NEEDS_MIGRATIONS = """

from sqlalchemy import text


def test_migrations(db_session):
    db_session.execute(text("SELECT email FROM users"))
"""


def hand_over(service: Path, alembic: str) -> None:
    """Write a conftest.py that has its configuration in this form, and a factory for tests."""
    text = CONFTEST.replace('Path("{suite}/alembic.ini")', alembic)
    (service / "tests" / "conftest.py").write_text(
        f"from alembic.config import Config\n{text}\ntest_session_maker = isolation.session_maker\n"
    )


def leave_place_out(service: Path) -> None:
    """Let alembic.ini not say where the migrations are."""
    ini = service / "alembic.ini"
    ini.write_text(re.sub("script_location = .*", "", ini.read_text()))


# Forms, with what pyproject.toml says of the place, if it does.
FORMS = {
    'Path("alembic.ini")': "",
    'Config("alembic.ini")': "",
    'Config(toml_file=Path(__file__).parents[1] / "pyproject.toml")': "%(here)s/migrations",
    'Config(toml_file="pyproject.toml")': "migrations",
    'Config("alembic.ini", toml_file="pyproject.toml")': "migrations",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_relative_path_is_protected_where_pytest_starts_in_a_subfolder(
    service: Path, run_python: RunPython, form: str
) -> None:
    hand_over(service, form)
    if FORMS[form]:
        (service / "pyproject.toml").write_text(TOML.format(FORMS[form]))
        leave_place_out(service)

    done = run_python(*PYTEST, cwd=service / "tests")

    assert f"sqlite:///{service / 'real.db'}" in done.stdout, done.stdout
    assert "2 passed" in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ('Path("pyproject.toml")', "is not an alembic.ini"),
        ('Config("pyproject.toml")', "is not an alembic.ini"),
        ('Config("alembic.ini")', "leads to no migrations: No 'script_location' key"),
    ],
)
def test_a_pyproject_toml_that_is_not_named_as_one_says_how(
    service: Path, run_python: RunPython, form: str, message: str
) -> None:
    hand_over(service, form)
    (service / "pyproject.toml").write_text(TOML.format("migrations"))
    leave_place_out(service)

    done = run_python(*PYTEST, cwd=service)

    assert message in done.stdout, done.stdout
    assert 'Config(ROOT / "alembic.ini", toml_file=ROOT / "pyproject.toml")' in done.stdout
    assert "INTERNALERROR" not in done.stdout
