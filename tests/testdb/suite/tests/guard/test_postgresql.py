"""Attacks on the guard of PostgreSQL: no driver and no socket leads to a protected server."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, NullPool, create_engine, make_url, text
from testdb import ProtectedDatabaseError
from testdb.guard import protect
from testdb.guard.urls import without_secrets

from tests.guard.refusals import LOCAL, PASSWORD, PORT, REMOTE, refused


@pytest.fixture
def database(postgresql_database: URL, monkeypatch: pytest.MonkeyPatch) -> URL:
    """A protected database on the server of the tests."""
    server = postgresql_database.set(database="postgres")
    monkeypatch.setenv("TEST_DATABASE_URL", server.render_as_string(hide_password=False))
    protect([postgresql_database])
    return postgresql_database


def conninfo(url: URL) -> str:
    """Return a URL as libpq takes it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "connect", [psycopg.connect, psycopg.Connection.connect], ids=["module", "class"]
)
def test_psycopg_does_not_open_a_protected_database(
    database: URL, connect: Callable[[str], object]
) -> None:
    with refused("psycopg"):
        connect(conninfo(database))


DRIVERS: list[tuple[str, Callable[[URL], object]]] = [
    ("psycopg.pq", lambda url: psycopg.pq.PGconn.connect(conninfo(url).encode())),
    ("psycopg.pq", lambda url: psycopg.pq.PGconn.connect_start(conninfo(url).encode())),
    ("psycopg2", lambda url: import_module("psycopg2").connect(conninfo(url))),
    ("psycopg2", lambda url: import_module("psycopg2").connect(**parts(url))),
    ("psycopg2", lambda url: import_module("psycopg2.extensions").connection(conninfo(url))),
    (
        "psycopg2",
        lambda url: import_module("psycopg2").connect(
            conninfo(url), connection_factory=import_module("psycopg2.extras").LoggingConnection
        ),
    ),
    ("pg8000", lambda url: import_module("pg8000").connect(**python_parts(url))),
    ("pg8000", lambda url: import_module("pg8000.native").Connection(**python_parts(url))),
]


def parts(url: URL) -> dict[str, Any]:
    """Return a URL as drivers take it in parts."""
    _, options = url.get_dialect()().create_connect_args(url)
    return dict(options)


def python_parts(url: URL) -> dict[str, Any]:
    """Return the same for a driver that has its own words for libpq's."""
    options = parts(url)
    host, port = options.pop("host"), options.pop("port", 5432)
    place = (
        {"unix_sock": f"{host}/.s.PGSQL.{port}"}
        if host.startswith("/")
        else {"host": host, "port": port}
    )
    return {**place, "database": options.pop("dbname"), **options}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "connect"), DRIVERS, ids=range(len(DRIVERS)))
def test_other_drivers_do_not_open_a_protected_database(
    database: URL, name: str, connect: Callable[[URL], Any]
) -> None:
    with refused(name):
        connect(database)
    connection = connect(database.set(database="postgres"))

    close = getattr(connection, "finish", None) or connection.close
    close()


@pytest.mark.slow
def test_the_database_that_the_environment_names_is_not_opened(
    database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGDATABASE", str(database.database))
    nameless = database.set(database="")

    with refused("psycopg"):
        psycopg.connect(conninfo(nameless))
    with refused("SQLAlchemy"):
        create_engine(nameless).connect()


@pytest.mark.slow
def test_psycopg_does_not_open_a_service_that_hides_the_database(database: URL) -> None:
    with refused("psycopg; a service file hides the database"):
        psycopg.connect(conninfo(database.set(database="")), service="somewhere")


@pytest.mark.slow
def test_sqlalchemy_does_not_open_a_protected_database(database: URL) -> None:
    with refused("SQLAlchemy"):
        create_engine(database).connect()


@pytest.mark.slow
def test_sqlalchemy_does_not_open_the_database_with_a_function_of_ones_own(database: URL) -> None:
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo(database))
    )

    with refused("psycopg"):
        engine.connect()


@pytest.mark.slow
def test_other_databases_of_the_same_server_open(database: URL) -> None:
    engine = create_engine(database.set(database="postgres"), poolclass=NullPool)

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


@pytest.mark.slow
def test_sockets_to_a_server_of_the_tests_open(
    unused_server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, port = unused_server.getsockname()
    monkeypatch.setenv("TEST_DATABASE_URL", f"postgresql://{host}:{port}/postgres")
    protect([URL.create("postgresql", host=host, port=port, database="real")])

    socket.create_connection((host, port)).close()


@pytest.mark.parametrize("url", ["sqlite:///test.db", "mysql://me@localhost:{port}/test", "test"])
def test_a_server_is_open_to_no_test_because_of_another_kind_of_database(
    unused_server: socket.socket, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    host, port = unused_server.getsockname()
    monkeypatch.setenv("TEST_DATABASE_URL", url.format(port=port))
    protect([URL.create("postgresql", host=host, port=port, database="real")])

    with socket.socket() as client, refused("socket.connect"):
        client.connect((host, port))


@pytest.fixture
def unused_server() -> Iterator[socket.socket]:
    """A socket that listens on a port of its own."""
    with socket.create_server((LOCAL, 0)) as server:
        yield server


@pytest.mark.usefixtures("_servers")
@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, (LOCAL, PORT)),
        (socket.AF_INET, ("localhost", PORT)),
        (socket.AF_INET, ("0.0.0.0", PORT)),  # noqa: S104  # here it means this machine
        (socket.AF_INET6, ("::1", PORT)),
        (socket.AF_INET6, ("::ffff:127.0.0.1", PORT)),
        (socket.AF_INET, (REMOTE, PORT)),
        (socket.AF_UNIX, f"/nowhere/.s.PGSQL.{PORT}"),
        (socket.AF_UNIX, f"/nowhere/../nowhere/.s.PGSQL.{PORT}".encode()),
        (socket.AF_UNIX, f"/tmp/.s.PGSQL.{PORT}"),  # noqa: S108  # of the server on localhost
    ],
)
def test_a_socket_to_a_protected_server_is_refused(
    family: socket.AddressFamily, address: Any
) -> None:
    with socket.socket(family) as client, refused("socket.connect"):
        client.connect(address)


def own_address() -> str:
    """Return an address of this machine besides that of itself; this one if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        try:
            # Nothing is sent.
            client.connect((REMOTE, 9))
        except OSError:
            return LOCAL
        return str(client.getsockname()[0])


@pytest.mark.usefixtures("_servers")
def test_a_server_of_this_machine_is_refused_by_any_of_its_addresses() -> None:
    with socket.socket() as client, refused("socket.connect"):
        client.connect((own_address(), PORT))


def test_a_server_on_a_socket_of_its_own_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, elsewhere = str(tmp_path / "mysqld.sock"), str(tmp_path / "other.sock")
    url = make_url(f"mysql+pymysql://me@localhost/real?unix_socket={path}")
    protect([without_secrets(url)])
    monkeypatch.chdir(tmp_path)

    for address in (path, "mysqld.sock", f"{tmp_path}/./mysqld.sock".encode()):
        with socket.socket(socket.AF_UNIX) as client, refused("socket.connect"):
            client.connect(address)
    for address in (elsewhere, "\0mysqld.sock"):
        with socket.socket(socket.AF_UNIX) as client, pytest.raises(OSError, match=r"\w"):
            client.connect(address)
    with refused("process"):
        subprocess.run(["serve", str(url)], check=True)


@pytest.mark.usefixtures("_servers")
@pytest.mark.parametrize(
    "options",
    [
        {"host": "localhost", "port": PORT, "dbname": "real"},
        {"host": LOCAL, "port": PORT, "dbname": "another"},
        {"host": "db.example.com", "hostaddr": REMOTE, "port": PORT},
        {"host": f"{LOCAL},{REMOTE}", "port": f"1,{PORT}"},
        {"host": "/nowhere", "port": PORT},
    ],
)
def test_no_database_of_a_protected_server_is_opened(options: dict[str, Any]) -> None:
    with refused("psycopg"):
        psycopg.connect(**options, connect_timeout=2)
    with refused("SQLAlchemy"):
        create_engine("postgresql+psycopg://", connect_args=options).connect()


def test_the_environment_does_not_lead_to_a_protected_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    protect([URL.create("postgresql", host=REMOTE, port=PORT + 1, database="real")])
    monkeypatch.setenv("PGHOST", REMOTE)
    monkeypatch.setenv("PGPORT", str(PORT + 1))

    with refused("psycopg"):
        psycopg.connect()
    with refused("SQLAlchemy"):
        create_engine("postgresql+psycopg://").connect()


@pytest.mark.usefixtures("_servers")
def test_a_refusal_tells_what_to_do_and_no_password() -> None:
    url = URL.create("postgresql+psycopg", "me", PASSWORD, REMOTE, PORT, "real")

    with pytest.raises(ProtectedDatabaseError) as refusal:
        create_engine(url).connect()

    message = str(refusal.value)
    assert f"{REMOTE}:{PORT}/real" in message
    assert "`session_maker` of your Isolation" in message
    assert "postgresql_database" in message
    assert PASSWORD not in message
