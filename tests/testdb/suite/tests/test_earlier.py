"""Attacks: connections to protected databases that were there before the guard."""

import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, Engine, NullPool, StaticPool, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session
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
    driver: Any = connection.connection.driver_connection

    guard_now(sqlite(file))

    with pytest.raises(Exception, match="closed database"):
        driver.execute(ADD)
    with pytest.raises(Exception, match="not a test database"):
        connection.execute(text(ADD))
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
    raw, libpq = psycopg.connect(conninfo), psycopg.pq.PGconn.connect(conninfo.encode())
    other = psycopg.connect(elsewhere.render_as_string(hide_password=False))
    engine = create_engine(database)
    engine.connect().close()

    guard_now(database)

    assert (raw.closed, other.closed) == (True, False)
    assert libpq.status == psycopg.pq.ConnStatus.BAD
    with pytest.raises(ProtectedDatabaseError):
        engine.connect()
    other.close()


def parts(url: URL) -> dict[str, Any]:
    """Return a URL of a server as drivers in Python take it."""
    host, port = url.host or url.query["host"], url.port or url.query.get("port", 5432)
    if str(host).startswith("/"):
        return {"host": f"{host}/.s.PGSQL.{port}", "user": url.username, "database": url.database}
    return {"host": host, "port": port, "user": url.username, "database": url.database}


def pg8000(url: URL) -> Any:
    """Connect with this driver."""
    options = parts(url)
    if options["host"].startswith("/"):
        options["unix_sock"] = options.pop("host")
    return import_module("pg8000.native").Connection(**options)


def in_a_failed_transaction(url: URL) -> Any:
    """Connect with this driver; the server answers no question."""
    connection = pg8000(url)
    connection.run("BEGIN")
    with pytest.raises(Exception, match="no_such_table"):
        connection.run("SELECT * FROM no_such_table")
    return connection


def in_use(url: URL) -> Any:
    """Return a session that has its connection."""
    session = Session(create_engine(url, poolclass=NullPool))
    session.execute(text("SELECT 1"))
    return session


def conninfo(url: URL) -> str:
    """Return a URL as libpq takes it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


# Connections, each with a function that uses it.
OPEN: dict[str, tuple[Callable[[URL], Any], Callable[[Any], object]]] = {
    "psycopg2": (
        lambda url: import_module("psycopg2").connect(conninfo(url)),
        lambda raw: raw.cursor().execute("SELECT 1"),
    ),
    "pg8000": (pg8000, lambda raw: raw.run("SELECT 1")),
    "session": (
        lambda url: in_use(url.set(drivername="postgresql+psycopg2")),
        lambda session: session.execute(text("SELECT 1")),
    ),
    "session of pg8000": (
        lambda url: in_use(
            url.set(drivername="postgresql+pg8000", host="", query={}).update_query_dict(
                {"unix_sock": parts(url)["host"]}
            )
        ),
        lambda session: session.execute(text("SELECT 1")),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("connect", "use"), OPEN.values(), ids=OPEN)
def test_connections_of_other_drivers_to_postgresql_are_closed(
    database: URL, connect: Callable[[URL], Any], use: Callable[[Any], object]
) -> None:
    elsewhere = database.set(database="postgres")
    raw, other = connect(database), connect(elsewhere)

    guard_now(database)

    with pytest.raises(Exception, match=r"closed|terminated|network|invalid transaction"):
        use(raw)
    use(other)
    other.close()


@pytest.mark.slow
def test_a_connection_that_cannot_say_where_it_leads_is_closed(database: URL) -> None:
    connection = in_a_failed_transaction(database)

    guard_now(database)

    with pytest.raises(Exception, match="network"):
        connection.run("ROLLBACK")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_connections_of_asyncpg_are_closed(database: URL, name: str) -> None:
    with closing(import_module(name).new_event_loop()) as loop:
        connect = import_module("asyncpg").connect
        elsewhere = database.set(database="postgres")
        raw, other = (
            loop.run_until_complete(connect(conninfo(url))) for url in (database, elsewhere)
        )

        guard_now(database)

        assert (raw.is_closed(), other.is_closed()) == (True, False)
        loop.run_until_complete(other.close())


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


@pytest.mark.usefixtures("file")
def test_a_socket_that_is_read_as_a_file_is_closed(server: socket.socket) -> None:
    host, port = server.getsockname()
    client = socket.create_connection((host, port))
    file = client.makefile("rwb", buffering=0)

    guard_now(URL.create("postgresql", host=host, port=port, database="real"))

    with closing(file), pytest.raises(BrokenPipeError):
        file.write(b"INSERT")
