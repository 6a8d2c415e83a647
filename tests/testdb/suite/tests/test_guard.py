"""Attacks on the guard: no way leads to a protected database, and all ways to the tests' own."""

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, NullPool, create_engine, make_url, text
from testdb import ProtectedDatabaseError
from testdb.guard import protect
from testdb.guard.urls import unreachable
from testdb.settings import replace_protected

PASSWORD = "do-not-show"  # noqa: S105

# Addresses that are for documentation, so nothing is ever reached there.
REMOTE = "192.0.2.1"
LOCAL = "127.0.0.1"
# No service uses it.
PORT = 2


def refused(rule: str) -> pytest.RaisesExc[ProtectedDatabaseError]:
    """Expect the refusal by a rule."""
    return pytest.raises(ProtectedDatabaseError, match=rf"rule: {rule}.*db_session fixture")


# SQLite


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A protected file with other names beside it, in the current folder."""
    path = tmp_path / "50% real.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE rows_of_somebody (id INTEGER)")
    (tmp_path / "soft.db").symlink_to(path)
    (tmp_path / "hard.db").hardlink_to(path)
    (tmp_path / "folder").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    protect([URL.create("sqlite", database=str(path))])
    return path


NAMES: dict[str, Callable[[Path], Any]] = {
    "absolute path": str,
    "path object": Path,
    "bytes": os.fsencode,
    "relative path": lambda path: path.name,
    "path with dots": lambda path: f"folder/../{path.parent.name}/{path.name}",
    "linked folder": lambda path: f"folder/{path.name}",
    "symbolic link": lambda _: "soft.db",
    "hard link": lambda _: "hard.db",
    "uri": lambda path: path.as_uri(),
    "uri on localhost": lambda path: path.as_uri().replace("file://", "file://localhost"),
    "relative uri": lambda _: "file:50%25%20real.db",
    "escaped uri": lambda path: f"file:{''.join(f'%{byte:02x}' for byte in str(path).encode())}",
    "uri with a null": lambda path: f"{path.as_uri()}%00.other",
    "uri of a link": lambda _: "file:soft.db",
    "read-only": lambda path: f"{path.as_uri()}?mode=ro",
    "immutable": lambda path: f"{path.as_uri()}?immutable=1#fragment",
}
by_any_name = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)


@by_any_name
def test_a_protected_file_is_not_opened(file: Path, name: Callable[[Path], Any]) -> None:
    with refused("sqlite3.connect"):
        sqlite3.connect(name(file), uri=True)


@pytest.mark.parametrize(
    "connect", [sqlite3.dbapi2.connect, sqlite3.Connection], ids=["module", "class"]
)
def test_a_protected_file_is_not_opened_by_another_function(
    file: Path, connect: Callable[[Path], object]
) -> None:
    with refused("sqlite3.connect"):
        connect(file)


def test_a_protected_file_that_is_not_there_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link.db").symlink_to("missing.db")
    protect([URL.create("sqlite", database=str(tmp_path / "missing.db"))])
    monkeypatch.chdir(tmp_path)

    for name in ("missing.db", "link.db"):
        with refused("sqlite3.connect"):
            sqlite3.connect(name)

    assert not (tmp_path / "missing.db").exists()


def test_a_protected_file_is_not_opened_by_a_new_name(file: Path) -> None:
    file.rename("new.db")

    for name in ("new.db", "soft.db", "hard.db"):
        with refused("sqlite3.connect"):
            sqlite3.connect(name)

    Path("new.db").rename(file)


def test_a_file_that_took_the_place_of_a_deleted_one_is_another(file: Path) -> None:
    file.unlink()
    Path("hard.db").unlink()

    for number in range(3):
        sqlite3.connect(f"{number}.db").close()


class OwnConnection(sqlite3.dbapi2.Connection):
    """A connection of a project's own kind."""


CONNECTIONS: dict[str, Callable[[], sqlite3.Connection]] = {
    "connect": lambda: sqlite3.connect(":memory:", uri=True),
    "class": lambda: sqlite3.Connection(":memory:", uri=True),
    "factory": lambda: sqlite3.connect(":memory:", factory=OwnConnection, uri=True),
}


@pytest.fixture(params=CONNECTIONS)
def connection(request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    """A connection to a database in memory."""
    with closing(CONNECTIONS[request.param]()) as connection:
        yield connection


@pytest.mark.parametrize(
    "statement",
    [
        "ATTACH '{path}' AS other",
        'attach database "{path}" as other',
        "/* */ ATTACH 'soft.db' AS other",
        "ATTACH '{uri}?mode=ro' AS other",
        "VACUUM INTO '{path}'",
    ],
)
def test_a_protected_file_is_not_attached(
    file: Path, connection: sqlite3.Connection, statement: str
) -> None:
    statement = statement.format(path=file, uri=file.as_uri())

    for execute in (connection.execute, connection.cursor().execute, connection.executescript):
        with refused("ATTACH"):
            execute(statement)


def test_a_name_that_the_guard_cannot_see_is_not_attached(
    file: Path, connection: sqlite3.Connection
) -> None:
    with refused("ATTACH"):
        connection.execute("ATTACH ? AS other", (str(file),))
    with refused("ATTACH"):
        connection.execute("ATTACH :name AS other", {"name": str(file)})
    connection.execute("ATTACH ? AS other", ("own.db",))
    connection.execute("DETACH other")
    with refused("ATTACH"):
        connection.execute("ATTACH ? AS other", (str(file),))


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        ("ATTACH '50% real.db' || '' AS other", ()),
        ("ATTACH '50% ' || ? AS other", ("real.db",)),
        ("ATTACH ? || ? AS other", ("50% ", "real.db")),
        ("ATTACH replace(?, 'x', '') AS other", ("50% realx.db",)),
        ("ATTACH (SELECT '50% real.db' WHERE 'other' = ?) AS other", ("other",)),
    ],
)
@pytest.mark.usefixtures("file")
def test_a_name_that_is_made_by_the_statement_is_not_attached(
    connection: sqlite3.Connection, statement: str, parameters: tuple[str, ...]
) -> None:
    for execute in (connection.execute, connection.cursor().execute):
        with refused("ATTACH of a name that the statement does not spell out"):
            execute(statement, parameters)


def test_a_factory_from_before_the_guard_attaches_nothing_either(file: Path) -> None:
    # What `sqlite3.Connection` was then.
    [original] = sqlite3.Connection.__bases__
    connection: sqlite3.Connection = sqlite3.connect(":memory:", factory=original)

    with closing(connection), pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        connection.execute(f"ATTACH '{file}' AS other")


def test_other_errors_of_sqlite_stay_what_they_are(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="syntax error"):
        connection.execute("ATTACK")


def test_sqlalchemy_does_not_open_a_protected_file(file: Path) -> None:
    engine = create_engine(f"sqlite:///{file}")

    with refused("SQLAlchemy"):
        engine.connect()


def test_sqlalchemy_does_not_open_the_file_with_a_function_of_ones_own(file: Path) -> None:
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(file))

    with refused("sqlite3.connect"):
        engine.connect()


def test_sqlalchemy_does_not_attach_a_protected_file(file: Path) -> None:
    engine = create_engine("sqlite://")

    with engine.connect() as connection, refused("ATTACH"):
        connection.execute(text(f"ATTACH '{file}' AS other"))

    engine.dispose()


@pytest.mark.parametrize("name", [":memory:", "", "file:name?mode=memory", "own.db"])
def test_other_databases_open(file: Path, name: str) -> None:
    with closing(sqlite3.connect(name, uri=True)) as connection:
        connection.execute("ATTACH 'attached.db' AS other")
        connection.execute("CREATE TABLE other.things (id INTEGER)")

        assert connection.execute("SELECT count(*) FROM things").fetchone() == (0,)


def test_protecting_memory_protects_nothing() -> None:
    protect([URL.create("sqlite"), URL.create("sqlite", database=":memory:")])

    sqlite3.connect(":memory:").close()


# PostgreSQL


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


@pytest.fixture
def unused_server() -> Iterator[socket.socket]:
    """A socket that listens on a port of its own."""
    with socket.create_server((LOCAL, 0)) as server:
        yield server


@pytest.fixture
def _servers() -> None:
    """Protected servers with which the tests have nothing to do."""
    url = URL.create("postgresql+psycopg", "me", PASSWORD, "localhost", PORT, "real")
    protect([url, url.set(host=REMOTE), url.set(host="", query={"host": "/nowhere"})])


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


# Processes


ENVIRONMENTS: dict[str, Callable[[Path], str]] = {
    "path": "sqlite:///{}".format,
    "other driver": "sqlite+pysqlite:///{}".format,
    "link": lambda path: f"sqlite:///{path.parent}/soft.db",
    "relative path": lambda _: "sqlite:///soft.db",
    "server": lambda _: f"postgresql://me:{PASSWORD}@localhost:{PORT}/real",
    "server, short": lambda _: f"postgres://me:{PASSWORD}@{REMOTE}:{PORT}/real",
}
by_any_url = pytest.mark.parametrize("url", ENVIRONMENTS.values(), ids=ENVIRONMENTS)


@by_any_url
@pytest.mark.usefixtures("_servers")
def test_no_process_starts_with_a_protected_url(file: Path, url: Callable[[Path], str]) -> None:
    env = {**os.environ, "DATABASE_URL": url(file)}

    with refused("process"):
        subprocess.run([sys.executable, "--version"], env=env, check=True)


@by_any_url
@pytest.mark.usefixtures("_servers")
def test_other_names_of_a_protected_url_are_hidden_from_processes(
    file: Path, monkeypatch: pytest.MonkeyPatch, url: Callable[[Path], str]
) -> None:
    monkeypatch.setenv("REPLICA_URL", url(file))
    monkeypatch.setenv("OTHER_URL", "sqlite:///other.db")

    replace_protected()
    subprocess.run([sys.executable, "--version"], check=True)

    assert os.environ["OTHER_URL"] == "sqlite:///other.db"
    before, after = make_url(url(file)), make_url(os.environ["REPLICA_URL"])
    assert after.drivername == before.drivername
    assert after == unreachable(before)


def test_no_process_starts_after_the_url_was_put_back(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{file}")

    with refused("process"):
        subprocess.run([sys.executable, "--version"], check=True)
    with refused("process"):
        os.system("true")  # noqa: S605
    with refused("process"):
        os.posix_spawn(sys.executable, [sys.executable, "--version"], dict(os.environ))
    with refused("process"):
        # Not a real program: without the guard it would take the place of the tests.
        os.execv("/nowhere", ["/nowhere"])  # noqa: S606


SERVER = f"postgresql://me@localhost:{PORT}/real"
TOLD: dict[str, list[str]] = {
    "client": ["sqlite3", "50% real.db"],
    "client by its path": ["/usr/bin/sqlite3", "-readonly", "soft.db"],
    "client's command": ["sqlite3", ":memory:", "ATTACH 'soft.db' AS other"],
    "client's own command": ["sqlite3", "-cmd", ".open soft.db"],
    "client behind another program": ["timeout", "5", "sqlite3", "hard.db"],
    "shell": ["sh", "-c", "cd folder && sqlite3 soft.db"],
    "shell in a shell": ["bash", "-lc", "sh -c 'cd folder; sqlite3 hard.db'; ls"],
    "shell, quoted": ["sh", "-ec", "echo 'it; is' | sqlite3 '50% real.db'"],
    "shell with a variable": ["sh", "-c", "cd . && DATABASE_URL=sqlite:///soft.db serve"],
    "env": ["env", "DATABASE_URL=sqlite:///soft.db", "serve"],
    "URL": ["sqlite3x", "sqlite:///soft.db"],
    "option": ["serve", "--database-url=sqlite:///soft.db"],
    "option of Alembic": ["alembic", "-x", f"url={SERVER}", "upgrade", "head"],
    "option in words": ["serve", "--database", SERVER],
    "URL in a program": ["ruby", "-e", f"connect('{SERVER}')"],
    "psql with a URL": ["psql", SERVER],
    "psql": ["psql", "-h", "localhost", "-p", str(PORT), "-U", "me", "-d", "real"],
    "psql, short": ["psql", "-hlocalhost", f"-p{PORT}", "-c", "SELECT 1", "real"],
    "psql, long": ["psql", "--host=localhost", "--port", str(PORT), "real"],
    "psql with a string": ["psql", "-c", "SELECT 1", f"host=127.0.0.1 port={PORT} dbname=real"],
    "psql by variables": ["sh", "-c", f"PGHOST=localhost PGPORT={PORT} psql"],
    "pg_dump": ["pg_dump", "-Fc", "-h", REMOTE, "-p", str(PORT), "real"],
}


@pytest.mark.parametrize("command", TOLD.values(), ids=TOLD)
@pytest.mark.usefixtures("_servers", "file")
def test_no_process_is_told_of_a_protected_database(command: list[str]) -> None:
    with refused("process"):
        subprocess.run(command, check=True)


@pytest.mark.usefixtures("_servers")
@pytest.mark.parametrize(
    "variables",
    [
        {"PGHOST": "localhost", "PGPORT": str(PORT)},
        {"PGHOSTADDR": REMOTE, "PGPORT": str(PORT), "PGDATABASE": "real"},
        {"PGSERVICE": "somewhere"},
    ],
)
def test_no_process_gets_a_protected_server_by_variables_of_libpq(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    # It is replaced as well, where its port is that of the variables.
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    with refused("process"):
        subprocess.run(["serve"], env=os.environ | variables, check=True)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    replace_protected()

    subprocess.run([sys.executable, "--version"], check=True)


def test_a_url_is_hidden_that_leads_to_where_a_variable_of_libpq_leads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    protect([URL.create("postgresql+psycopg", "me", PASSWORD, REMOTE, database="real")])
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.setenv("PGHOST", REMOTE)
    # Recorded, so that it goes with the test.
    monkeypatch.setenv("PGPORT", "5432")
    monkeypatch.setenv("REPLICA_URL", f"postgresql://{REMOTE}/real")

    replace_protected()

    after = make_url(os.environ["REPLICA_URL"])
    assert after == unreachable(make_url(f"postgresql://{REMOTE}/real"))
    assert os.environ["PGHOST"] != REMOTE


# What has the name of a protected file, or of a server, and does not open it.
HARMLESS: dict[str, list[str]] = {
    "ls": ["ls", "50% real.db"],
    "git": ["git", "check-ignore", "-v", "--no-index", "soft.db"],
    "copy": ["cp", "50% real.db", "copy.db"],
    "shell": ["sh", "-c", "test -f '50% real.db' && ls soft.db"],
    "words": ["echo", "connect", "to", "soft.db,", "not", "(hard.db)"],
    "client with another file": ["sh", "-c", "echo sqlite3 other.db"],
    "name of a server": ["echo", "localhost", str(PORT), "real"],
    "unfinished quote": ["echo", "sh", "-c", "it's soft.db"],
}


@pytest.mark.parametrize("command", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.usefixtures("_servers", "file")
def test_a_name_alone_is_refused_to_no_process(command: list[str]) -> None:
    done = subprocess.run(command, check=False)

    # git finds nothing to ignore, and there is no repository.
    assert done.returncode in (0, 1, 128)


@pytest.mark.slow
def test_other_processes_start(file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.environ['DATABASE_URL'])"],
        env={**os.environ, "DATABASE_URL": "sqlite:///own.db", "OTHER": "postgresql://[broken"},
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout == "sqlite:///own.db\n"
