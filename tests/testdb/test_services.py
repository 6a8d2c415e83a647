"""Services of many shapes, each handed to testdb by an `Isolation` and nothing else."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, ignore_patterns
from uuid import uuid4

import pytest
from sqlalchemy import URL, NullPool, create_engine, make_url, text

from tests.testdb.conftest import RunPython

SERVICES = Path(__file__).with_name("services")
PYTEST = ("-m", "pytest", "-q", "-p", "testdb.plugin", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Shape:
    """How a service finds its database, and what its tests come to.

    Attributes:
        driver: What its real database is opened with.
        passed: How many tests it has.
        folder: Where it is in the repository around it.
        settings: Returns its .env for a real database, which is in the repository's root.
    """

    driver: str
    passed: int
    folder: str = "."
    settings: Callable[[URL], str] = "DATABASE_URL={}".format


def in_parts(url: URL) -> str:
    """Return settings that name a database in parts."""
    parts = {"HOST": url.query["host"], "PORT": 5432, "DB": url.database}
    return "\n".join(f"POSTGRES_{name}={value}" for name, value in parts.items())


def dsn(url: URL) -> str:
    """Return settings that name a database in one variable of the service's own."""
    return f"LEDGER_DSN={url}"


SHAPES = {
    # Flask-SQLAlchemy and Flask-Migrate, unittest classes
    "blog": Shape("sqlite", 5),
    # anyio without pytest-asyncio; the app's state
    "journal": Shape("sqlite+aiosqlite", 5),
    # psycopg2, a container, a DSN, `version_locations`, a version table, rows of `prepare`
    "ledger": Shape("postgresql+psycopg2", 6, settings=dsn),
    # strict asyncio, older fixtures of the same names in another folder
    "press": Shape("sqlite+aiosqlite", 4),
    # SQLModel, a dependency of FastAPI, tests inside the application, a pyproject.toml
    "shop": Shape("sqlite", 6),
    # asyncpg, a global engine and factory, settings in parts, a monorepo, two heads
    "warehouse": Shape("postgresql+asyncpg", 6, "backend", in_parts),
}


@contextmanager
def real_database(shape: Shape, folder: Path, server: str) -> Iterator[URL]:
    """Make the database that no test may touch, and look at the end whether it was touched."""
    name = f"real_{uuid4().hex}"
    if shape.driver.startswith("sqlite"):
        file = folder / "real.db"
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE real (id INTEGER)")
        before = file.read_bytes()
        yield URL.create(shape.driver, database=str(file))
        assert file.read_bytes() == before
        return
    url = make_url(server).set(database=name)
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield url.set(drivername=shape.driver)
        with create_engine(url, poolclass=NullPool).connect() as real:
            tables = real.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname='public'"))
            assert tables.all() == []
        connection.execute(text(f"DROP DATABASE {name}"))


@pytest.mark.parametrize("name", SHAPES)
def test_a_service_of_this_shape_works_with_testdb_as_it_is(
    name: str, tmp_path: Path, run_python: RunPython, server: str
) -> None:
    shape = SHAPES[name]
    copytree(SERVICES / name, tmp_path, dirs_exist_ok=True, ignore=ignore_patterns("__pycache__"))
    with real_database(shape, tmp_path, server) as real:
        (tmp_path / ".env").write_text(shape.settings(real))

        done = run_python(*PYTEST, cwd=tmp_path / shape.folder, TEST_DATABASE_URL=server)

    assert f"{shape.passed} passed" in done.stdout, done.stdout
    assert done.returncode == 0, done.stdout
