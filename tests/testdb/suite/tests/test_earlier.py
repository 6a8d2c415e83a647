"""Attacks: connections to protected databases that were there before the guard."""

import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, Engine, StaticPool, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from testdb import ProtectedDatabaseError
from testdb.guard import protect, rules
from testdb.guard.earlier import close_earlier_connections
from testdb.guard.sqlite import GuardedConnection

ADD = "INSERT INTO rows_of_somebody VALUES (1)"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is not protected yet. What the test protects is so no longer in the next."""
    monkeypatch.setattr(rules, "files", set())
    monkeypatch.setattr(rules, "servers", set())
    path = tmp_path / "real.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE rows_of_somebody (id INTEGER)")
    return path


def guard_now(*urls: URL) -> None:
    """Do what the start of a run does."""
    protect(urls)
    close_earlier_connections()


def sqlite(path: Path) -> URL:
    """Return the URL of a file."""
    return URL.create("sqlite", database=str(path))


def attached(path: Path) -> sqlite3.Connection:
    """Return a connection that has the file as a second one."""
    connection = sqlite3.connect(":memory:")
    connection.execute(f"ATTACH '{path}' AS other")
    return connection


def with_rows_as_dictionaries(path: Path) -> sqlite3.Connection:
    """Return a connection whose rows have no order."""
    connection = sqlite3.connect(path)
    connection.row_factory = lambda cursor, row: {cursor.description[0][0]: row[0]}
    return connection


CONNECTIONS: dict[str, Callable[[Path], sqlite3.Connection]] = {
    "sqlite3": sqlite3.connect,
    "attached": attached,
    "row factory": with_rows_as_dictionaries,
    "other threads": lambda path: sqlite3.connect(path, check_same_thread=False),
}


@pytest.mark.parametrize("connect", CONNECTIONS.values(), ids=CONNECTIONS)
def test_an_open_file_is_closed(file: Path, connect: Callable[[Path], sqlite3.Connection]) -> None:
    connection = connect(file)

    guard_now(sqlite(file))

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute(ADD)


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "pool": lambda path: create_engine(sqlite(path)),
    "one connection": lambda path: create_engine(sqlite(path), poolclass=StaticPool),
}


@pytest.mark.parametrize("make", ENGINES.values(), ids=ENGINES)
def test_an_engine_connects_again_and_is_refused(
    file: Path, make: Callable[[Path], Engine]
) -> None:
    engine = make(file)
    engine.connect().close()

    guard_now(sqlite(file))

    with pytest.raises(ProtectedDatabaseError), engine.connect() as connection:
        connection.execute(text(ADD))


async def test_an_engine_of_the_service_connects_again_and_is_refused(file: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))

    guard_now(sqlite(file))

    with pytest.raises(ProtectedDatabaseError):
        await engine.connect()


def test_an_engine_with_a_function_of_ones_own_loses_its_connection(file: Path) -> None:
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(file))
    engine.connect().close()

    guard_now(sqlite(file))

    with pytest.raises(Exception, match="closed database"), engine.connect() as connection:
        connection.execute(text(ADD))
    with pytest.raises(ProtectedDatabaseError):
        engine.connect()


def test_a_connection_in_use_is_closed(file: Path) -> None:
    connection = create_engine(sqlite(file)).connect()

    guard_now(sqlite(file))

    with pytest.raises(Exception, match="closed database"):
        connection.execute(text(ADD))
    connection.invalidate()
    connection.close()


def test_what_leads_elsewhere_stays_open_and_attaches_nothing(file: Path) -> None:
    [original] = GuardedConnection.__bases__
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE kept (id INTEGER)"))
    raw: sqlite3.Connection = original(":memory:")

    guard_now(sqlite(file))

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM kept")) == 0
    with closing(raw), pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        raw.execute(f"ATTACH '{file}' AS other")
    engine.dispose()


@pytest.fixture
def database(file: Path, postgresql_database: URL, monkeypatch: pytest.MonkeyPatch) -> URL:
    """A database on the server of the tests."""
    server = postgresql_database.set(database="postgres")
    monkeypatch.setenv("TEST_DATABASE_URL", server.render_as_string(hide_password=False))
    return postgresql_database


@pytest.mark.slow
def test_connections_to_postgresql_are_closed(database: URL) -> None:
    conninfo = database.set(drivername="postgresql").render_as_string(hide_password=False)
    elsewhere = database.set(drivername="postgresql", database="postgres")
    raw = psycopg.connect(conninfo)
    other = psycopg.connect(elsewhere.render_as_string(hide_password=False))
    engine = create_engine(database)
    engine.connect().close()

    guard_now(database)

    assert (raw.closed, other.closed) == (True, False)
    with pytest.raises(ProtectedDatabaseError):
        engine.connect()
    other.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A socket that listens on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.usefixtures("file")
def test_a_socket_to_a_protected_server_is_closed(server: socket.socket) -> None:
    host, port = server.getsockname()
    client = socket.create_connection((host, port))

    guard_now(URL.create("postgresql", host=host, port=port, database="real"))

    assert client.fileno() == -1
    assert server.fileno() != -1
