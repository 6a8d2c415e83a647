"""The fixtures: a clean, migrated database for every test that asks for one."""

import sqlite3
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from tests.isolation.engine import make_test_engine
from tests.isolation.session import session_on, test_session_maker
from tests.isolation.sqlite import open_memory, restore
from tests.isolation.startup import cache_folder, isolation_key
from tests.isolation.template import load_template


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(obj: object) -> list[pytest.Item] | None:
    """Keep pytest from taking `test_session_maker` for a test, where a module imports it."""
    return [] if obj is test_session_maker else None


@pytest.fixture(scope="session")
def database_image(pytestconfig: pytest.Config) -> bytes:
    """The image of a migrated database."""
    isolation = pytestconfig.stash[isolation_key]
    return load_template(isolation.alembic, cache_folder(pytestconfig))


@pytest.fixture(scope="session")
def raw_connection() -> Iterator[sqlite3.Connection]:
    """The connection to this process's database in memory."""
    connection = open_memory()
    yield connection
    connection.close()


@pytest.fixture(scope="session")
async def engine(raw_connection: sqlite3.Connection) -> AsyncIterator[AsyncEngine]:
    """The engine on that connection."""
    engine = make_test_engine(raw_connection)
    yield engine
    await engine.dispose()


@pytest.fixture
async def db_session(
    engine: AsyncEngine,
    raw_connection: sqlite3.Connection,
    database_image: bytes,
) -> AsyncIterator[AsyncSession]:
    """A session on the migrated schema, clean for every test.

    Commit and roll back as you like: the app under test works in the same transaction, and all
    of it is undone.
    """
    restore(raw_connection, database_image)
    async with session_on(engine) as session:
        yield session
