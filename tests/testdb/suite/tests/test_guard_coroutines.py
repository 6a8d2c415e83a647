"""Attacks on the guard by drivers that are awaited."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import aiosqlite
import psycopg
import pytest
from sqlalchemy import URL, NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine
from testdb import ProtectedDatabaseError
from testdb.guard import protect

# An address for documentation: nothing is ever reached there.
REMOTE = "192.0.2.1"

DRIVERS = [name for name in ("psycopg", "asyncpg") if find_spec(name)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A protected file."""
    path = tmp_path / "real.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE rows_of_somebody (id INTEGER)")
    protect([URL.create("sqlite", database=str(path))])
    return path


@pytest.fixture
def database(postgresql_database: URL, monkeypatch: pytest.MonkeyPatch) -> URL:
    """A protected database on the server of the tests."""
    server = postgresql_database.set(database="postgres")
    monkeypatch.setenv("TEST_DATABASE_URL", server.render_as_string(hide_password=False))
    protect([postgresql_database])
    return postgresql_database


@pytest.fixture
def remote() -> URL:
    """A protected server with which the tests have nothing to do."""
    url = URL.create("postgresql", username="me", host=REMOTE, port=2, database="real")
    protect([url])
    return url


async def test_aiosqlite_does_not_open_a_protected_file(file: Path) -> None:
    with pytest.raises(ProtectedDatabaseError, match=r"rule: sqlite3\.connect"):
        await aiosqlite.connect(file)

    # Its thread calls the loop once more, which may be closed after this test.
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join)


async def test_aiosqlite_does_not_attach_a_protected_file(file: Path) -> None:
    async with aiosqlite.connect(":memory:") as connection:
        with pytest.raises(ProtectedDatabaseError, match="rule: ATTACH"):
            await connection.execute(f"ATTACH '{file}' AS other")


async def test_sqlalchemy_does_not_open_a_protected_file(file: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}")

    with pytest.raises(ProtectedDatabaseError, match="rule: SQLAlchemy"):
        await engine.connect()


async def test_sqlalchemy_does_not_attach_a_protected_file(file: Path) -> None:
    engine = create_async_engine("sqlite+aiosqlite://")

    async with engine.connect() as connection:
        with pytest.raises(ProtectedDatabaseError, match="rule: ATTACH"):
            await connection.execute(text(f"ATTACH '{file}' AS other"))

    await engine.dispose()


@pytest.mark.slow
async def test_psycopg_does_not_open_a_protected_database(database: URL) -> None:
    conninfo = database.set(drivername="postgresql").render_as_string(hide_password=False)

    with pytest.raises(ProtectedDatabaseError, match="rule: psycopg"):
        await psycopg.AsyncConnection.connect(conninfo)


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
async def test_sqlalchemy_does_not_open_a_protected_database(database: URL, driver: str) -> None:
    engine = create_async_engine(database.set(drivername=f"postgresql+{driver}"))

    with pytest.raises(ProtectedDatabaseError, match="rule: SQLAlchemy"):
        await engine.connect()


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
async def test_other_databases_of_the_same_server_open(database: URL, driver: str) -> None:
    url = database.set(drivername=f"postgresql+{driver}", database="postgres")

    async with create_async_engine(url, poolclass=NullPool).connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1


async def test_asyncpg_does_not_open_a_protected_server(remote: URL) -> None:
    asyncpg = pytest.importorskip("asyncpg")

    with pytest.raises(ProtectedDatabaseError, match="rule: asyncpg"):
        await asyncpg.connect(remote.render_as_string(), timeout=2)


@pytest.mark.slow
async def test_asyncpg_alone_does_not_open_a_protected_database(database: URL) -> None:
    asyncpg = pytest.importorskip("asyncpg")
    conninfo = database.set(drivername="postgresql")
    other = conninfo.set(database="postgres")

    with pytest.raises(ProtectedDatabaseError, match="rule: asyncpg"):
        await asyncpg.connect(conninfo.render_as_string(hide_password=False))
    connection = await asyncpg.connect(other.render_as_string(hide_password=False))

    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


def test_a_loop_without_sockets_of_python_reaches_no_protected_server(remote: URL) -> None:
    uvloop = pytest.importorskip("uvloop")
    asyncpg = pytest.importorskip("asyncpg")

    async def connect() -> None:
        with pytest.raises(ProtectedDatabaseError, match="rule: asyncpg"):
            await asyncpg.connect(remote.render_as_string(), timeout=2)
        loop = asyncio.get_running_loop()
        with pytest.raises(ProtectedDatabaseError, match=r"rule: socket\.connect"):
            await loop.create_connection(asyncio.Protocol, REMOTE, 2)
        with pytest.raises(ProtectedDatabaseError, match=r"rule: socket\.connect"):
            await loop.create_unix_connection(asyncio.Protocol, "/nowhere/.s.PGSQL.2")

    protect([remote.set(host=None, query={"host": "/nowhere"})])
    uvloop.run(connect())
