"""The plugin around the tests: when it is active, what it refuses, and what it leaves alone."""

import re
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.testdb.conftest import SOURCES, RunPython, Suite

PYTEST = ("-m", "pytest", "-p", "testdb.plugin", "-p", "no:randomly", "-p", "no:asyncio")


CONFTEST = """
from alembic.config import Config
from service.database import make_engine, make_session_maker
from testdb import Isolation

isolation = Isolation(
    alembic=Config("{suite}/alembic.ini"),
    protected=["sqlite:///real.db"],
    engine=make_engine,
    sessions=make_session_maker,
)


def pytest_testdb_isolation():
    return isolation
"""


@pytest.fixture
def conftest(suite: Suite) -> str:
    """Return a conftest.py that hands the sample service to testdb."""
    return CONFTEST.format(suite=suite("sync"))


@pytest.fixture
def folder(suite: Suite, conftest: str, tmp_path: Path) -> Path:
    """Return a project whose conftest.py lies where pytest does not look before it collects."""
    tests = tmp_path / "checks" / "database"
    tests.mkdir(parents=True)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {suite('sync')}\n")
    (tests / "conftest.py").write_text(conftest)
    (tests / "test_it.py").write_text("def test_it(db_session):\n    pass\n")
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n")
    return tmp_path


def test_an_isolation_that_comes_too_late_ends_the_run(folder: Path, run_python: RunPython) -> None:
    done = run_python(*PYTEST, cwd=folder)

    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout
    assert "hands its isolation to testdb too late" in done.stdout
    assert "passed" not in done.stdout


def test_an_isolation_is_found_where_the_command_line_leads(
    folder: Path, run_python: RunPython
) -> None:
    done = run_python(*PYTEST, "checks/database", cwd=folder)

    assert "testdb: tests run on sqlite; protected: sqlite:///" in done.stdout
    assert "1 passed" in done.stdout


def test_a_run_without_an_isolation_says_so(folder: Path, run_python: RunPython) -> None:
    done = run_python(*PYTEST, "test_other.py", cwd=folder)

    assert "testdb: inactive" in done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.parametrize(
    ("selection", "is_judged", "is_reported"),
    [
        ([], True, True),
        (["tests"], True, True),
        (["tests/unit"], False, False),
        (["tests/unit", "--cov-report=term"], False, True),
        (["-k", "adds"], False, False),
        (["--deselect", "tests/unit/test_parts.py::test_halves"], False, False),
    ],
)
def test_coverage_is_judged_and_reported_in_a_full_run_only(
    run_python: RunPython,
    covered: Path,
    selection: list[str],
    *,
    is_judged: bool,
    is_reported: bool,
) -> None:
    done = run_python(*PYTEST, *selection, cwd=covered)

    assert ("Required test coverage of 99% not reached" in done.stdout) == is_judged, done.stdout
    assert (done.returncode != 0) == is_judged, done.stdout
    assert ("tests coverage" in done.stdout) == is_reported, done.stdout


@pytest.fixture
def covered(suite: Suite, conftest: str, tmp_path: Path) -> Path:
    """Return a project whose tests do not cover all of it, and which asks them to."""
    unit = tmp_path / "tests" / "unit"
    unit.mkdir(parents=True)
    (tmp_path / "tests" / "conftest.py").write_text(conftest)
    (tmp_path / "parts.py").write_text("def halves(n):\n    if n:\n        return n / 2\n")
    test = "def test_{}():\n    halves(0)\n\n\n"
    source = "from parts import halves\n\n\n" + test.format("halves") + test.format("adds")
    (unit / "test_parts.py").write_text(source)
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\ntestpaths = tests\npythonpath = . {suite('sync')}\n"
        "addopts = --cov=parts --cov-fail-under=99\n"
    )
    return tmp_path


# The sources


def test_a_project_has_the_library_as_it_is(project: Project) -> None:
    for style in ("sync", "async"):
        rendered = project(session_style=style, analytics="clickhouse") / "packages" / "testdb"
        texts = {
            path.relative_to(rendered): path.read_bytes()
            for path in rendered.rglob("*")
            if path.is_file()
        }

        assert texts == {name: (SOURCES.parent / name).read_bytes() for name in texts}
        assert len(texts) > 40


def test_the_library_knows_neither_the_service_nor_the_other_library() -> None:
    imported = {
        name
        for path in SOURCES.rglob("*.py")
        for name in re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(), re.MULTILINE)
    }

    assert not {name for name in imported if name.startswith(("testdb", "migrator", "tests"))}
    assert imported >= {"alembic.config", "sqlalchemy.orm"}


def test_nothing_needs_the_part_for_clickhouse() -> None:
    for path in (SOURCES / "testdb").rglob("*.py"):
        if "clickhouse" not in path.parts:
            assert not re.search(r"^\s*(from|import) .*clickhouse", path.read_text(), re.MULTILINE)
