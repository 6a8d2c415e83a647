"""Several services in one repository, each with a conftest.py that hands it to testdb."""

import shutil
from pathlib import Path

import pytest

from tests.testdb.conftest import RunPython, Suite
from tests.testdb.test_plugin import CONFTEST, PYTEST

OPTIONS = "[pytest]\npythonpath = {}\naddopts = --import-mode=importlib\ntestpaths = {}\n"
PREPARE = """
from sqlalchemy import text


def prepare(connection):
    connection.execute(text("INSERT INTO log (action) VALUES ('{name}')"))
"""
TESTS = """
import sqlite3

import pytest
from sqlalchemy import text


def test_its_own_template(db_session):
    assert db_session.scalars(text("SELECT action FROM log")).all() == ["made", "{name}"]


@pytest.mark.parametrize("other", ["alpha", "beta"])
def test_no_real_database_is_opened(other, pytestconfig):
    with pytest.raises(RuntimeError, match="which is not a test database"):
        sqlite3.connect(f"{root}/{{other}}.db")
    isolation = pytestconfig.hook.pytest_testdb_isolation(config=pytestconfig)
    assert f"/{{other}}.db" in str(isolation.protected_urls)
    assert isolation.prepare.__code__.co_filename == "{conftest}"
"""


@pytest.fixture
def root(suite: Suite, tmp_path: Path) -> Path:
    """Return a repository with two services, whose templates differ."""
    copy = shutil.copytree(suite("sync"), tmp_path / "copy")
    for name, migrations in (("alpha", suite("sync")), ("beta", copy)):
        write_service(tmp_path, tmp_path / "svc" / name / "tests", name, migrations)
    (tmp_path / "e2e").mkdir()
    (tmp_path / "e2e" / "test_e2e.py").write_text("def test_it():\n    pass\n")
    (tmp_path / "pytest.ini").write_text(OPTIONS.format(suite("sync"), "svc/*/tests"))
    return tmp_path


def write_service(root: Path, tests: Path, name: str, suite: Path) -> None:
    """Write the conftest.py of a service, and tests that prove it is in use."""
    tests.mkdir(parents=True)
    conftest = CONFTEST.format(suite=suite).replace(
        "sqlite:///real.db", f"sqlite:///{root}/{name}.db"
    )
    conftest = conftest.replace("isolation = ", f"{PREPARE.format(name=name)}\n\nisolation = ")
    conftest = conftest.replace("\n)\n", "\n    prepare=prepare,\n)\n", 1)
    (tests / "conftest.py").write_text(conftest)
    file = tests / "conftest.py"
    (tests / f"test_{name}.py").write_text(TESTS.format(name=name, root=root, conftest=file))


def test_services_with_one_cache_keep_their_templates(root: Path, run_python: RunPython) -> None:
    runs = [
        run_python(*PYTEST, f"svc/{name}/tests", "--isolation-report", cwd=root).stdout
        for name in ("alpha", "beta", "alpha", "beta")
    ]

    assert ["sqlite template built" in it for it in runs] == [True, True, False, False], runs


# The folder and the arguments that a run is started with.
WITHIN = {
    "its folder": (".", ["svc/alpha/tests"]),
    "inside": ("svc/beta", []),
    "a file": (".", ["svc/beta/tests/test_beta.py", "e2e"]),
    "workers": (".", ["svc/alpha", "-n", "1"]),
}


@pytest.mark.parametrize("way", WITHIN)
def test_tests_run_on_the_service_that_they_lie_in(
    root: Path, run_python: RunPython, way: str
) -> None:
    start, arguments = WITHIN[way]

    done = run_python(*PYTEST, *arguments, cwd=root / start)

    assert f"{4 if 'e2e' in arguments else 3} passed" in done.stdout, done.stdout
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("arguments", [[], ["svc/alpha/tests", "svc/beta/tests"], ["svc"], ["e2e"]])
def test_a_run_is_about_one_service(
    root: Path, run_python: RunPython, arguments: list[str]
) -> None:
    done = run_python(*PYTEST, *arguments, cwd=root)

    first, second = (
        str(root / "svc" / name / "tests" / "conftest.py") for name in ("alpha", "beta")
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout
    assert "each hand an isolation to testdb" in done.stdout
    assert first in done.stdout
    assert second in done.stdout
    assert "passed" not in done.stdout


def test_tests_of_several_services_can_be_listed(root: Path, run_python: RunPython) -> None:
    done = run_python(*PYTEST, "--collect-only", "-q", cwd=root)

    assert "6 tests collected" in done.stdout, done.stdout


def test_a_second_service_that_is_found_while_tests_are_collected_ends_the_run(
    root: Path, suite: Suite, run_python: RunPython
) -> None:
    write_service(root, root / "tests", "whole", suite("sync"))
    (root / "pytest.ini").write_text(OPTIONS.format(suite("sync"), ""))

    done = run_python(*PYTEST, cwd=root)

    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout
    assert "conftest.py hands its isolation to testdb too late" in done.stdout
    assert "passed" not in done.stdout


def test_a_hook_that_returns_nothing_is_named(root: Path, run_python: RunPython) -> None:
    for name in ("alpha", "beta"):
        file = root / "svc" / name / "tests" / "conftest.py"
        file.write_text(file.read_text().replace("    return isolation", "    isolation"))

    done = run_python(*PYTEST, "svc/alpha", cwd=root)

    assert "testdb: inactive, returned no Isolation by pytest_testdb_isolation: /" in done.stdout
    assert str(root / "svc" / "alpha" / "tests" / "conftest.py") in done.stdout


def test_a_hook_may_make_its_isolation_when_it_is_asked(root: Path, run_python: RunPython) -> None:
    file = root / "svc" / "alpha" / "tests" / "conftest.py"
    text = file.read_text().replace("isolation = Isolation(", "def made():\n  return Isolation(")
    file.write_text(text.replace("return isolation", "return made()"))

    done = run_python(*PYTEST, "svc/alpha", cwd=root)

    assert "3 passed" in done.stdout, done.stdout
