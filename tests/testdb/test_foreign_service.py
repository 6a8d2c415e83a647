"""testdb in a service that was not made from this template, installed as its README tells."""

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.running import TEMPLATE, UV, Run, succeeded

FOREIGN = Path(__file__).with_name("foreign_service")
TESTDB = TEMPLATE / "{{cookiecutter.project_slug}}" / "packages" / "testdb"

# What a service of each style needs besides testdb, and its own functions that testdb is handed.
# The asynchronous one has the oldest versions that testdb claims to work with.
NEEDS = {
    "sync": [],
    "async": ["sqlalchemy[asyncio]>=2.0.30", "aiosqlite>=0.20", "pytest-asyncio>=0.26"],
}
OLDEST = ("--resolution", "lowest-direct")
DATABASE = {
    "sync": """
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

make_engine = create_engine
make_session_maker = sessionmaker
""",
    "async": """
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

make_engine = create_async_engine
make_session_maker = async_sessionmaker
""",
}


@dataclass(frozen=True)
class Foreign:
    """The foreign service, with testdb installed from a folder of its own."""

    style: str
    folder: Path
    execute: Run

    @property
    def real(self) -> Path:
        """Its development database."""
        return self.folder / "real.db"

    def run(self, *command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of its environment."""
        program, *arguments = command
        variables = {"DATABASE_URL": f"sqlite:///{self.real}"} | variables
        path = self.folder / ".venv" / "bin" / program
        return self.execute(path, *arguments, cwd=self.folder, **variables)

    def change(self, name: str, text: str) -> None:
        """Write one of its files."""
        (self.folder / name).write_text(text)


@pytest.fixture(scope="module", params=NEEDS)
def foreign(
    request: pytest.FixtureRequest, run: Run, tmp_path_factory: pytest.TempPathFactory
) -> Foreign:
    """Install testdb into the service by uv or by pip. It lies anywhere; nothing is its name."""
    style: str = request.param
    folder = tmp_path_factory.mktemp("foreign") / "service"
    library = tmp_path_factory.mktemp("anywhere") / "a-copy"
    shutil.copytree(FOREIGN, folder)
    shutil.copytree(TESTDB, library, ignore=shutil.ignore_patterns("__pycache__", "clickhouse"))
    if style == "sync":
        install = [UV, "add", "--quiet", "--dev", "--extra", "postgresql", library]
        succeeded(run(*install, cwd=folder))
    else:
        succeeded(run(UV, "venv", "--quiet", cwd=folder))
        needs = [f"{library}[postgresql]", *NEEDS[style]]
        install = [UV, "pip", "install", "--quiet", *OLDEST, *needs]
        succeeded(run(*install, cwd=folder))

    found = Foreign(style, folder, run)
    readme = (library / "README.md").read_text()
    (conftest,) = re.findall(r"```python\n(from pathlib.*?)```", readme, re.DOTALL)
    found.change("tests/conftest.py", conftest)
    found.change("library/database.py", DATABASE[style])
    source = (folder / "tests" / "library_tests.txt").read_text()
    coroutine, wait = ("async ", "await ") if style == "async" else ("", "")
    source = source.replace("COROUTINE ", coroutine).replace("WAIT ", wait)
    found.change("tests/test_library.py", source)
    (options,) = re.findall(r"```ini\n(.*?)```", readme, re.DOTALL)
    options = options if style == "async" else "[pytest]\n"
    found.change("pytest.ini", f"{options}pythonpath = .\n")
    return found


@pytest.fixture
def copy(foreign: Foreign, tmp_path: Path) -> Foreign:
    """Return a copy of the service, for a test that changes it. It shares the environment."""
    folder = tmp_path / "service"
    shutil.copytree(foreign.folder, folder, ignore=shutil.ignore_patterns(".venv", "real.db"))
    (folder / ".venv").symlink_to(foreign.folder / ".venv")
    return Foreign(foreign.style, folder, foreign.execute)


@pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.complete)]
)
def test_a_few_lines_are_enough(foreign: Foreign, database: str) -> None:
    result = foreign.run("pytest", "-q", "--database", database)

    assert "7 passed" in succeeded(result)
    assert not foreign.real.exists()


def test_a_synchronous_service_needs_nothing_for_asyncio(foreign: Foreign) -> None:
    if foreign.style == "async":
        pytest.skip("it has all of that")

    packages = foreign.run("python", "-c", "import aiosqlite, greenlet, pytest_asyncio")

    assert "No module named" in packages.stderr


def test_without_an_isolation_testdb_is_inactive_and_says_so(copy: Foreign) -> None:
    copy.change("tests/conftest.py", "")
    copy.change("tests/test_library.py", "def test_nothing(): pass\n")

    output = succeeded(copy.run("pytest"))

    assert "testdb: inactive" in output
    assert "1 passed" in output


def test_an_engine_that_connected_at_import_serves_no_test(copy: Foreign) -> None:
    conftest = copy.folder / "tests" / "conftest.py"
    copy.change("tests/conftest.py", f"import library.visits\n{conftest.read_text()}")
    copy.change("tests/test_library.py", USES_THE_ENGINE)

    result = copy.run("pytest", "-q")

    assert "1 passed" in succeeded(result)
    with closing(sqlite3.connect(copy.real)) as connection:
        assert connection.execute("SELECT count(*) FROM visits").fetchone() == (0,)


USES_THE_ENGINE = """
import pytest
from library.visits import engine


def test_a_visit():
    with pytest.raises(RuntimeError, match="db_session"), engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO visits VALUES (1)")
"""

# An env.py that everything tells of the real database but the connection it is given.
FROM_SETTINGS = """
import sqlalchemy as sa
from alembic import context
from library.settings import URL

with sa.create_engine(URL).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""

# Alembic's own templates, and what a driver is called there.
STOCK = {"sync": {"generic": "sqlite"}, "async": {"generic": "sqlite", "async": "sqlite+aiosqlite"}}

# A stock env.py sets up logging by these.
LOGGING = """
[loggers]
keys = root
[handlers]
keys =
[formatters]
keys =
[logger_root]
handlers =
"""


@pytest.fixture
def real(copy: Foreign) -> Iterator[bytes]:
    """Fill the development database. It stays as it is."""
    with closing(sqlite3.connect(copy.real)) as connection:
        connection.execute("CREATE TABLE rows_of_somebody (id INTEGER)")
    before = copy.real.read_bytes()
    yield before
    assert copy.real.read_bytes() == before


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("form", ["generic", "async", "settings"])
def test_an_env_py_that_connects_by_itself_migrates_nothing(copy: Foreign, form: str) -> None:
    forms = {**STOCK[copy.style], "settings": "sqlite"}
    if form not in forms:
        pytest.skip("its driver is not installed here")
    copy.change("library/settings.py", f"URL = '{forms[form]}:///{copy.real}'\n")
    with (copy.folder / "alembic.ini").open("a") as ini:
        ini.write(f"\nsqlalchemy.url = {forms[form]}:///{copy.real}\n{LOGGING}")
    env_py = copy.folder / "alembic" / "env.py"
    if form == "settings":
        env_py.write_text(FROM_SETTINGS)
    else:
        succeeded(copy.run("python", "-m", "alembic", "init", "-t", form, "stock"))
        shutil.copy(copy.folder / "stock" / "env.py", env_py)

    result = copy.run("pytest", "-q", DATABASE_URL="sqlite:///unrelated.db")

    output = result.stdout + result.stderr
    assert (result.returncode, "passed" in output) == (1, False)
    assert f"{env_py} does not use the connection" in output
    assert 'context.config.attributes.get("connection")' in output
    assert not (copy.folder / "unrelated.db").exists()
