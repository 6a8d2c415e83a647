"""Attacks on the guard of SQLite: no name leads to a protected file."""

import _sqlite3
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, text
from testdb.guard import protect
from testdb.sqlite.watched import watched

from tests.guard.refusals import refused

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


# What `sqlite3.Connection` was before the guard.
[Original] = sqlite3.Connection.__bases__


class EarlierConnection(Original):  # type: ignore[misc, valid-type]
    """The same, made before the guard was in place."""


def with_authorizer(
    authorizer: Callable[..., int] | None, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    """Return a connection on which a service has set this."""
    connection = sqlite3.connect(":memory:", factory=factory, uri=True)
    connection.set_authorizer(authorizer)
    return connection


CONNECTIONS: dict[str, Callable[[], sqlite3.Connection]] = {
    "connect": lambda: sqlite3.connect(":memory:", uri=True),
    "class": lambda: sqlite3.Connection(":memory:", uri=True),
    "factory": lambda: sqlite3.connect(":memory:", factory=OwnConnection, uri=True),
    "earlier class": lambda: sqlite3.connect(":memory:", factory=EarlierConnection, uri=True),
    "module in C": lambda: _sqlite3.connect(":memory:", uri=True),
    "class in C": lambda: _sqlite3.Connection(":memory:", uri=True),
    "own authorizer": lambda: with_authorizer(lambda *_: sqlite3.SQLITE_OK),
    "no authorizer": lambda: with_authorizer(None),
    "of a test's own database": lambda: with_authorizer(None, watched(sqlite3.Connection)),
    "the same, earlier class": lambda: with_authorizer(None, watched(EarlierConnection)),
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


def test_a_function_from_before_the_guard_makes_no_connection_that_attaches(file: Path) -> None:
    factory: Any = lambda *_, **__: Original(":memory:")  # noqa: E731
    connection = sqlite3.connect(":memory:", factory=factory)

    with closing(connection), pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        connection.execute(f"ATTACH '{file}' AS other")


def test_an_authorizer_is_asked_and_forbids_what_it_forbids(
    connection: sqlite3.Connection,
) -> None:
    connection.set_authorizer(
        lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_PRAGMA else 0
    )

    connection.execute("CREATE TABLE things (id INTEGER)")
    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        connection.execute("PRAGMA user_version = 1")


class OwnCursor(sqlite3.Cursor):
    """A cursor of a project's own kind."""


def test_what_was_attached_before_allows_nothing_to_another_cursor(
    file: Path, connection: sqlite3.Connection
) -> None:
    connection.execute("ATTACH ? AS own", (":memory:",))

    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        connection.cursor(OwnCursor).execute("ATTACH ? AS other", (str(file),))


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
