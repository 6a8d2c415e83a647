"""Services of many shapes, each handed to testdb by an `Isolation` and nothing else."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, ignore_patterns
from uuid import uuid4

import pytest
from sqlalchemy import URL, NullPool, create_engine, make_url, text

from tests.testdb.conftest import SOURCES, RunPython

SERVICES = Path(__file__).with_name("services")
README = (SOURCES.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SELFTEST = "create_engine(url).connect()"
PYTEST = ("-m", "pytest", "-q", "-p", "testdb.plugin")


@dataclass(frozen=True)
class Shape:
    """How a service finds its database, and what its tests come to.

    Attributes:
        driver: What its real database is opened with.
        passed: How many tests it has.
        start: Where in its repository its tests are started.
        selftest: The folder of the self-test.
        settings: Returns its .env for a real database, which is in the repository's root.

    """

    driver: str
    passed: int
    start: str = "."
    selftest: str = "tests"
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
    "blog": Shape("sqlite", 9),
    # anyio without pytest-asyncio; the app's state
    "journal": Shape("sqlite+aiosqlite", 8),
    # psycopg2, a container, a DSN, `version_locations`, a version table, rows of `prepare`
    "ledger": Shape("postgresql+psycopg2", 10, settings=dsn),
    # strict asyncio, older fixtures and options of the same names
    "press": Shape("sqlite+aiosqlite", 8, selftest="tests/new"),
    # SQLModel, a dependency of FastAPI, tests inside the application, a pyproject.toml
    "shop": Shape("sqlite", 10, selftest="shop/tests"),
    # asyncpg, a global engine and factory, settings in parts, a monorepo, two heads; pytest started
    # where alembic.ini is not
    "warehouse": Shape("postgresql+asyncpg", 9, "backend/tests", ".", in_parts),
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


def selftest(driver: str) -> str:
    """Return the self-test of the README for services with this driver."""
    [text] = [block for block in BLOCKS if SELFTEST in block]
    if "aiosqlite" in driver or "asyncpg" in driver:
        marker = 'pytestmark = pytest.mark.asyncio(loop_scope="session")'
        return f"{text}\n\n{marker}\n"
    return str(text).replace("async ", "").replace("await ", "")


@pytest.mark.parametrize("name", SHAPES)
def test_a_service_of_this_shape_works_with_testdb_as_it_is(
    name: str, tmp_path: Path, run_python: RunPython, server: str
) -> None:
    shape = SHAPES[name]
    copytree(SERVICES / name, tmp_path, dirs_exist_ok=True, ignore=ignore_patterns("__pycache__"))
    folder = tmp_path / shape.start
    (folder / shape.selftest / "test_isolation_holds.py").write_text(selftest(shape.driver))
    with real_database(shape, tmp_path, server) as real:
        (tmp_path / ".env").write_text(shape.settings(real))

        done = run_python(*PYTEST, cwd=folder, TEST_DATABASE_URL=server)

    assert f"{shape.passed} passed" in done.stdout, done.stdout
    assert done.returncode == 0, done.stdout


def test_every_example_of_the_readme_is_part_of_a_service_that_runs() -> None:
    texts = [path.read_text() for path in SERVICES.rglob("*.py")]
    # These are run by the test above and by test_foreign_service.py, and the first one is an idea.
    elsewhere = (SELFTEST, "from library.database import", "async def test_committed_rows")

    unknown = [
        block
        for block in BLOCKS
        if not any(words in block for words in elsewhere)
        if not any(block in text for text in texts)
    ]

    assert unknown == []
    assert len(BLOCKS) > len(elsewhere) + 10


# Ways to hold it wrong: the service, options, a file that is missing, and what a run says.
MISTAKES = {
    "no loop in common": (
        "warehouse",
        ("-o", "asyncio_default_test_loop_scope=function"),
        "",
        "this runs in another event loop",
    ),
    "no plugin": (
        "press",
        ("-p", "no:asyncio", "-p", "no:anyio"),
        "",
        "The service's engine is asynchronous, and no plugin",
    ),
    "an old plugin": ("press", (), "", "pytest-asyncio 0.25.3 cannot run fixtures and tests"),
    "no migrations": ("press", (), "migrations", "leads to no migrations"),
    "no file": ("warehouse", (), "../alembic.ini", "Alembic's configuration is not at"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_work_says_what_to_do(
    mistake: str, tmp_path: Path, run_python: RunPython, server: str
) -> None:
    name, options, missing, message = MISTAKES[mistake]
    shape = SHAPES[name]
    copytree(SERVICES / name, tmp_path, dirs_exist_ok=True)
    if mistake == "an old plugin":
        metadata = tmp_path / "pytest_asyncio-0.25.3.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text("Name: pytest-asyncio\nVersion: 0.25.3\n")
    if missing:
        (tmp_path / shape.start / missing).rename(tmp_path / "elsewhere")
    nowhere = make_url("postgresql://localhost:2/real?host=localhost")
    (tmp_path / ".env").write_text(shape.settings(nowhere))

    done = run_python(
        *PYTEST, *options, "-W", "ignore", cwd=tmp_path / shape.start, TEST_DATABASE_URL=server
    )

    assert message in done.stdout, done.stdout
    assert done.returncode != 0


def test_the_readme_explains_messages_that_there_are() -> None:
    source = "".join(path.read_text() for path in (SOURCES / "testdb").rglob("*.py"))
    # As text that is broken into lines stands in the source.
    joined = re.sub(r'"\s+f?"', "", source)
    _, _, rest = README.partition("## Troubleshooting")
    section, _, _ = rest.partition("\n## ")

    messages = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)

    assert [message for message in messages if message not in joined] == []
    assert len(messages) > 8
