"""Attacks on the guard of ClickHouse: no way leads to a protected folder or server."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from service.events import DEVELOPMENT
from sqlalchemy import URL, Engine, create_engine
from testdb import ProtectedDatabaseError
from testdb.clickhouse import ClickhouseEnvironment
from testdb.clickhouse.guard import protect
from testdb.guard import protect as protect_all

from tests.processes import PYTEST

pytestmark = pytest.mark.slow

# Addresses that are for documentation, so nothing is ever reached there.
REMOTE = "192.0.2.1"
# No service uses it.
PORT = 3


@contextmanager
def refused(rule: str) -> Iterator[None]:
    """Expect the refusal by a rule, as it is or in an error of the client's own."""
    with pytest.raises(Exception, match=rf"rule: {rule}") as refusal:
        yield
    error: BaseException | None = refusal.value
    while not isinstance(error, ProtectedDatabaseError):
        assert error is not None, "something else has failed"
        error = error.__cause__


@pytest.fixture(scope="module")
def protected_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A protected folder, with other names beside it."""
    place = tmp_path_factory.mktemp("protected")
    path = place / "50%-real"
    path.mkdir()
    (place / "soft").symlink_to(path)
    (place / "link").symlink_to(place)
    protect([URL.create("chdb", database=str(path))])
    return path


@pytest.fixture
def folder(protected_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The protected folder, which is in the current one. It stays as it is."""
    monkeypatch.chdir(protected_folder.parent)
    yield protected_folder
    assert list(protected_folder.iterdir()) == []


def engine_on(options: dict[str, Any]) -> Engine:
    """Return SQLAlchemy's engine for a client with these options."""
    return create_engine("clickhousedb+connect://", connect_args=options)


# A path, as everybody takes it; and what only chdb itself makes of a text.
PATHS: dict[str, Callable[[Path], str]] = {
    "absolute path": str,
    "trailing slash": "{}/".format,
    "more slashes": "//{}".format,
    "path with dots": lambda path: f"{path.parent}/link/../{path.parent.name}/{path.name}",
    "relative path": lambda path: path.name,
    "linked folder": lambda path: f"link/{path.name}",
    "symbolic link": lambda _: "soft",
    "folder inside": "{}/store".format,
}
TEXTS: dict[str, Callable[[Path], str]] = {
    "uri": "file:{}".format,
    "uri with slashes": "file://{}".format,
    "relative uri": lambda path: f"file:{path.name}",
    "read-only": "file:{}?mode=ro".format,
    "options": "{}?max_threads=1&verbose".format,
    "option of the engine": ":memory:?path={}".format,
    "escaped option": lambda path: f":memory:?path={str(path).replace('-', '%2D')}",
    "null": "{}\0other".format,
}


CHDB: dict[str, Callable[[str], object]] = {
    "chdb": lambda name: import_module("chdb").connect(name),
    "session": lambda name: import_module("chdb.session").Session(name),
    "query": lambda name: import_module("chdb").query("SELECT 1", path=name),
    "query of the engine": lambda name: import_module("chdb._chdb").query("SELECT 1", path=name),
}
ALL: dict[str, Callable[[str], object]] = {
    **CHDB,
    "dbapi": lambda name: import_module("chdb.dbapi").connect(path=name),
    "clickhouse-connect": lambda name: clickhouse_connect.get_client(interface="chdb", path=name),
    "SQLAlchemy": lambda name: engine_on({"interface": "chdb", "path": name}).connect(),
}


@pytest.mark.parametrize("name", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("way", ALL.values(), ids=ALL)
def test_a_protected_folder_is_not_opened(
    folder: Path,
    way: Callable[[str], object],
    name: Callable[[Path], str],
) -> None:
    with refused("chdb"):
        way(name(folder))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("way", CHDB.values(), ids=CHDB)
def test_a_protected_folder_is_not_opened_by_another_spelling(
    folder: Path,
    way: Callable[[str], object],
    text: Callable[[Path], str],
) -> None:
    with refused("chdb"):
        way(text(folder))


def test_a_url_does_not_open_a_protected_folder(folder: Path) -> None:
    with refused("chdb"):
        clickhouse_connect.get_client(dsn=f"chdb://{folder}")


def test_a_protected_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    protect([URL.create("chdb", database=str(missing))])

    for way in ALL.values():
        with refused("chdb"):
            way(str(missing))

    assert not missing.exists()


# Statements that name a file in the folder `50%-real`, which is in the current one.
STATEMENTS = (
    "SELECT * FROM file('{}/data.csv', CSV, 'line String')",
    "INSERT INTO FUNCTION file('{}/data.csv', CSV, 'n UInt8') SELECT 1",
    "SELECT * FROM file('50%-real/data.csv', CSV, 'line String')",
    "SELECT * FROM file('link/../soft/data.csv', CSV, 'line String')",
    "SELECT * FROM file('soft/data.csv', CSV, 'line String')",
    "SELECT * FROM file('5*/data.csv', CSV, 'line String')",
    "SELECT * FROM file('{{50%-real,other}}/data.csv', CSV, 'line String')",
    "SELECT * FROM file('**.csv', CSV, 'line String')",
    "SELECT * FROM file('50%\\x2dreal/data.csv', CSV, 'line String')",
    "SELECT * FROM file(`50%-real/data.csv`, CSV, 'line String')",
    "SELECT * FROM file($$50%-real/data.csv$$, CSV, 'line String')",
    "SELECT * FROM file('50%-' || 'real/data.csv', CSV, 'line String')",
    "SELECT * FROM `file`(concat('50%-', 'real/data.csv'), CSV, 'line String')",
    "SELECT file('50%-real/data.csv')",
    "SELECT * FROM '50%-real/data.csv'",
    "SELECT 1 INTO OUTFILE '50%-real/data.csv'",
    "CREATE TABLE kept (line String) ENGINE = File(CSV, '50%-real/data.csv')",
    "SELECT * FROM sqlite('real.db', 'rows_of_somebody')",
)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_does_not_reach_protected_files(
    folder: Path,
    isolated_clickhouse: tuple[Client, ClickhouseEnvironment],
    statement: str,
) -> None:
    client, config = isolated_clickhouse
    if config.database.server.folder is None:
        pytest.skip("a server has its own files")
    protect_all([URL.create("sqlite", database=str(folder.with_name("real.db")))])

    for execute in (client.command, client.query, client.raw_query):
        with refused("statement of chdb"):
            execute(statement.format(folder))


def test_a_statement_reaches_other_files(
    folder: Path, isolated_clickhouse: tuple[Client, ClickhouseEnvironment]
) -> None:
    client, config = isolated_clickhouse
    if config.database.server.folder is None:
        pytest.skip("a server has its own files")
    folder.with_name("own").mkdir()
    client.command("INSERT INTO FUNCTION file('own/1.csv', CSV, 'n UInt8') SELECT 1")

    for name in ("own/1.csv", "own/*.csv", "{own,other}/?.csv", f"{folder.parent}/own/**"):
        rows = client.query(f"SELECT * FROM file('{name}', CSV, 'n UInt8')").result_rows
        assert rows == [(1,)]


def test_an_engine_that_was_loaded_before_the_guard_is_watched(tmp_path: Path) -> None:
    attack = (
        "import sys, chdb\n"
        "from sqlalchemy import URL\n"
        "from testdb.clickhouse.guard import protect\n"
        "protect([URL.create('chdb', database=sys.stdin.read())])\n"
        "chdb.connect('late')"
    )

    done = subprocess.run(
        [sys.executable, "-c", attack],
        input=str(tmp_path / "late"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "rule: chdb" in done.stderr
    assert not (tmp_path / "late").exists()


def test_a_connection_from_before_the_guard_is_not_used(tmp_path: Path) -> None:
    attack = (
        "import sys, chdb\n"
        "from sqlalchemy import URL\n"
        "from testdb.clickhouse.guard import protect\n"
        "earlier = chdb.connect('real')\n"
        "earlier.query('CREATE DATABASE before')\n"
        "protect([URL.create('chdb', database=sys.stdin.read())])\n"
        "earlier.query('CREATE DATABASE after')"
    )

    done = subprocess.run(
        [sys.executable, "-c", attack],
        input=str(tmp_path / "real"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "rule: chdb; the connection was there before the guard" in done.stderr
    databases = {path.stem for path in (tmp_path / "real" / "metadata").glob("*.sql")}
    assert "before" in databases
    assert "after" not in databases


def test_other_folders_open(tmp_path: Path) -> None:
    code = (
        "import chdb\n"
        "from sqlalchemy import URL\n"
        "from testdb.clickhouse.guard import protect\n"
        "protect([URL.create('chdb', database='real')])\n"
        "print(chdb.connect('own?max_threads=1').query('SELECT 42'))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == "42"
    assert (tmp_path / "own").is_dir()


# Servers


@pytest.fixture(scope="module")
def _server() -> None:
    """Protected servers with which the tests have nothing to do."""
    protect([URL.create("clickhouse", host=host, port=PORT) for host in ("localhost", REMOTE)])


@pytest.fixture
def _sockets_stay_open() -> Iterator[None]:
    """urllib3 closes a socket after errors of the system's, and a refusal is none."""
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("_server", "_sockets_stay_open")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", REMOTE])
def test_a_protected_server_is_not_reached(host: str) -> None:
    options: dict[str, Any] = {"host": host, "port": PORT, "connect_timeout": 2}

    with refused("socket.connect"):
        clickhouse_connect.get_client(**options)
    with refused("socket.connect"):
        engine_on(options).connect()


@pytest.mark.usefixtures("_server")
def test_other_servers_are_tried() -> None:
    with pytest.raises(ClickHouseError, match="refused"):
        clickhouse_connect.get_client(host="127.0.0.1", port=PORT + 1)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_tests_have_no_place_on_a_protected_server(
    monkeypatch: pytest.MonkeyPatch,
    host: str,
) -> None:
    monkeypatch.setenv("TEST_CLICKHOUSE_HOST", "127.0.0.1")
    monkeypatch.setenv("TEST_CLICKHOUSE_PORT", str(PORT))

    with pytest.raises(pytest.UsageError, match="need one that holds no real data"):
        protect([URL.create("clickhouse", host=host, port=PORT, database="real")])


# Processes


URLS: dict[str, Callable[[Path], str]] = {
    "folder": "chdb://{}".format,
    "folder, absolute": "chdb:///{}".format,
    "folder, relative": lambda path: f"chdb:///{path.name}",
    "link": lambda path: f"chdb:///{path.parent}/soft",
    "options": "chdb:///{}?max_threads=1".format,
    "server": lambda _: f"clickhouse://me:secret@localhost:{PORT}/real",
    "SQLAlchemy": lambda _: f"clickhousedb+connect://me@{REMOTE}:{PORT}/real",
    "http": lambda _: f"http://127.0.0.1:{PORT}/?query=SELECT+1",
}
by_any_url = pytest.mark.parametrize("url", URLS.values(), ids=URLS)


@by_any_url
@pytest.mark.usefixtures("_server")
def test_no_process_starts_with_a_protected_url(folder: Path, url: Callable[[Path], str]) -> None:
    env = {**os.environ, "CLICKHOUSE_URL": url(folder)}

    with refused("process"):
        subprocess.run([sys.executable, "--version"], env=env, check=True)


@by_any_url
@pytest.mark.usefixtures("_server")
def test_no_process_is_told_of_a_protected_url(folder: Path, url: Callable[[Path], str]) -> None:
    with refused("process"):
        subprocess.run(["curl", url(folder)], check=True)
    with refused("process"):
        subprocess.run([sys.executable, "-c", f"serve('{url(folder)}')"], check=True)


@pytest.mark.usefixtures("_server")
def test_other_processes_start(folder: Path) -> None:
    env = {
        **os.environ,
        "CLICKHOUSE_URL": "chdb:///own",
        "OTHER": f"http://localhost:{PORT + 1}",
        "BROKEN": "clickhouse://host:port/[",
        "NULL": "chdb:///own?path=/a%00b",
    }

    done = subprocess.run([sys.executable, "--version"], env=env, check=True)

    assert done.returncode == 0


def test_the_name_of_the_folder_alone_is_refused_to_no_process(folder: Path) -> None:
    done = subprocess.run(["ls", "-d", folder, folder.name], check=True, capture_output=True)

    assert folder.name.encode() in done.stdout


def test_a_python_process_guards_itself() -> None:
    program = f"import chdb; chdb.connect({DEVELOPMENT.database!r})"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert "rule: chdb" in done.stderr
    assert not Path(str(DEVELOPMENT.database)).exists()


def test_what_needs_no_clickhouse_does_not_load_chdb(pytestconfig: pytest.Config) -> None:
    # pytest would capture what Python prints while a conftest.py is imported.
    options = ("--capture=no", "-q", "tests/test_db_session.py")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *PYTEST[1:], *options],
        cwd=pytestconfig.rootpath,
        check=True,
        capture_output=True,
        text=True,
    )

    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "clickhouse_connect" in loaded
    assert "chdb" not in loaded
