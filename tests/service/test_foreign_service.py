"""The isolation, copied into a service that was not made from this template."""

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.running import succeeded
from tests.service.project import Service, combinations

FOREIGN = Path(__file__).with_name("foreign_service")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that every user can enter: if you are root, PostgreSQL runs as another."""
    with tempfile.TemporaryDirectory(prefix="services-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@combinations("sync-sqlite", "async-postgresql", "sync-postgresql-clickhouse")
def test_the_isolation_serves_another_service(service: Service, folder: Path) -> None:
    foreign = foreign_service(service, folder / "service")
    real = foreign / "real.db"

    for database, workers in (("sqlite", "2"), ("postgresql", "0")):
        options = ("-q", "--database", database, "-n", workers)
        result = service.run("pytest", *options, cwd=foreign, DATABASE_URL=f"sqlite:///{real}")

        assert "7 passed" in succeeded(result)
    assert not real.exists()


@combinations("sync-sqlite", "async-postgresql")
def test_an_engine_that_connected_at_import_serves_no_test(service: Service, folder: Path) -> None:
    foreign = foreign_service(service, folder / "service")
    real = foreign / "real.db"
    conftest = foreign / "tests" / "conftest.py"
    conftest.write_text(f"import library.database\n{conftest.read_text()}")
    (foreign / "tests" / "test_library.py").write_text(USES_THE_ENGINE)

    result = service.run("pytest", "-q", cwd=foreign, DATABASE_URL=f"sqlite:///{real}")

    assert "1 passed" in succeeded(result)
    with closing(sqlite3.connect(real)) as connection:
        assert connection.execute("SELECT count(*) FROM visits").fetchone() == (0,)


USES_THE_ENGINE = """
import pytest
from library.database import engine


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


@combinations("sync-sqlite", "async-postgresql")
def test_an_env_py_that_connects_by_itself_migrates_nothing(service: Service, folder: Path) -> None:
    for form, driver in {**STOCK[service.style], "settings": "sqlite"}.items():
        foreign = foreign_service(service, folder / form)
        real = foreign / "real.db"
        with closing(sqlite3.connect(real)) as connection:
            connection.execute("CREATE TABLE rows_of_somebody (id INTEGER)")
        before = real.read_bytes()
        (foreign / "library" / "settings.py").write_text(f"URL = '{driver}:///{real}'\n")
        with (foreign / "alembic.ini").open("a") as ini:
            ini.write(f"\nsqlalchemy.url = {driver}:///{real}\n{LOGGING}")
        env_py = foreign / "alembic" / "env.py"
        if form == "settings":
            env_py.write_text(FROM_SETTINGS)
        else:
            stock = folder / f"stock-{form}"
            succeeded(service.run("alembic", "init", "-t", form, stock, cwd=folder))
            shutil.copy(stock / "env.py", env_py)

        result = service.run("pytest", "-q", cwd=foreign, DATABASE_URL="sqlite:///unrelated.db")

        output = result.stdout + result.stderr
        assert (result.returncode, "passed" in output) == (1, False)
        assert f"{env_py} does not use the connection" in output
        assert 'context.config.attributes.get("connection")' in output
        assert real.read_bytes() == before
        assert not (foreign / "unrelated.db").exists()


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


def foreign_service(service: Service, folder: Path) -> Path:
    """Return the foreign service with the isolation in it, as its README tells to copy it."""
    shutil.copytree(FOREIGN, folder)
    isolation = service.folder / "tests" / "isolation"
    shutil.copytree(
        isolation,
        folder / "tests" / "isolation",
        ignore=shutil.ignore_patterns("clickhouse", "conformance", "__pycache__"),
    )
    readme = (isolation / "README.md").read_text()
    (conftest,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (folder / "tests" / "conftest.py").write_text(conftest)
    source = (folder / "tests" / "library_tests.txt").read_text()
    coroutine, wait = ("async ", "await ") if service.style == "async" else ("", "")
    source = source.replace("COROUTINE ", coroutine).replace("WAIT ", wait)
    (folder / "tests" / "test_library.py").write_text(source)
    (options,) = re.findall(r"```ini\n(.*?)```", readme, re.DOTALL) or ["[pytest]\n"]
    (folder / "pytest.ini").write_text(f"{options}pythonpath = .\n")
    return folder
