"""Refuses connections to protected databases, whoever tries to open them.

Python announces what it opens as audit events, and one hook looks at them. What makes no event is
met where it passes: ATTACH in SQLite's authorizer, libpq in psycopg.
"""

import os
import re
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from sqlite3 import SQLITE_ATTACH, SQLITE_AUTH, SQLITE_DENY, SQLITE_OK
from typing import Any
from urllib.parse import unquote_to_bytes

from sqlalchemy import URL, Engine, event, make_url
from sqlalchemy.exc import ArgumentError

from .addresses import (
    Endpoint,
    connect_arguments,
    database_in,
    endpoints,
    same_server,
    servers_for_tests,
)

# Between the words of a shell's command, or of a program; and after the name of a variable.
WORD_ENDS = re.compile(r"[\s'\"(),;]+(?:\w+=)?")


class ProtectedDatabaseError(RuntimeError):
    """A test tried to reach a database that is not a test database."""


# From this variable, the workers of a parallel run learn what to protect.
REMEMBERED = "PROTECTED_DATABASE_URL"

files: set[Path] = set()
# Without a name of a database, all of that server.
servers: set[tuple[Endpoint, str | None]] = set()
# Look at a word that a process is told, and the folder it starts in.
more_rules: list[Callable[[str, Path], None]] = []
denied = threading.local()


def protect(urls: Iterable[URL]) -> None:
    """Refuse every connection to these databases, from now on in this process.

    A server with a protected database is refused as a whole, unless TEST_DATABASE_URL or
    TEST_POSTGRES_HOST name it: then tests make their databases there, and the name decides.
    """
    install()
    for url in urls:
        arguments, options = connect_arguments(url)
        if arguments:
            if not any(mark in arguments[0] for mark in (":memory:", "mode=memory")):
                files.add(Path(meanings(arguments[0])[-1]).resolve())
            continue
        watch_psycopg()
        for endpoint in endpoints(options):
            shared = any(same_server(endpoint, other) for other in servers_for_tests())
            servers.add((endpoint, database_in(options) if shared else None))


def hide() -> None:
    """Take the URLs of protected databases out of the environment, which processes inherit.

    A service may have one under several names. No process would start that was told of it.
    """
    for name, value in list(os.environ.items()):
        if name != REMEMBERED:
            try:
                refuse_url(value, Path())
            except ProtectedDatabaseError:
                del os.environ[name]


@cache
def install() -> None:
    """Put the guard in place. It stays there: an audit hook cannot be removed."""
    for module in (sqlite3, sqlite3.dbapi2):
        vars(module).update(connect=connect_sqlite, Connection=GuardedConnection)
    event.listen(Engine, "do_connect", refuse_engine)
    checks: dict[str, Callable[..., None]] = {
        "sqlite3.connect": lambda name: refuse_file("sqlite3.connect", name),
        "socket.connect": lambda _, address: refuse_socket(address),
        "subprocess.Popen": lambda _, arguments, folder, env: refuse_child(arguments, env, folder),
        "os.posix_spawn": lambda _, arguments, env: refuse_child(arguments, env),
        "os.exec": lambda _, arguments, env: refuse_child(arguments, env),
        "os.system": lambda command: refuse_child([command], None),
    }

    def look(name: str, arguments: tuple[Any, ...]) -> None:
        if check := checks.get(name):
            check(*arguments)

    sys.addaudithook(look)


def refusal(rule: str, target: object) -> ProtectedDatabaseError:
    """Return the error that says what was refused, by which rule, and what to use instead."""
    return ProtectedDatabaseError(
        f"A test tried to open {target}, which is not a test database (rule: {rule})."
        " Use the db_session fixture, `from tests.conftest import test_session_maker`, or on"
        " PostgreSQL the postgresql_database fixture. TESTING.md tells why."
    )


def refuse_engine(
    dialect: Any, _record: object, arguments: Sequence[Any], options: Mapping[str, Any]
) -> None:
    """Refuse what SQLAlchemy is about to open, with whatever driver."""
    if dialect.name == "sqlite":
        refuse_file("SQLAlchemy", arguments[0] if arguments else options.get("database", ""))
    elif dialect.name == "clickhousedb":
        # It comes to a socket or to chdb, where the guard waits.
        pass
    else:
        refuse_server("SQLAlchemy", options)


def refuse_child(
    arguments: Iterable[Any], env: Mapping[Any, Any] | None, folder: Any = None
) -> None:
    """Refuse a process that is told of a protected database, in an argument or a variable."""
    start = Path(os.fsdecode(folder or ""))
    for argument in map(os.fsdecode, arguments):
        # Of a command for a shell, or of a program, each word counts.
        for word in {argument, *WORD_ENDS.split(argument)}:
            refuse_file("process", word, start)
            refuse_url(word, start)
    for name, value in (os.environ if env is None else env).items():
        if os.fsdecode(name) != REMEMBERED:
            refuse_url(os.fsdecode(value), start)


def refuse_url(text: str, folder: Path) -> None:
    """Refuse the URL of a protected database. A relative path starts here or in `folder`."""
    for refuse in more_rules:
        refuse(text, folder)
    if not text.startswith(("sqlite", "postgres")):
        return
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        return
    if url.get_backend_name() == "sqlite":
        for start in (Path(), folder):
            refuse_file("process", url.database or "", start)
    else:
        refuse_server("process", connect_arguments(url)[1])


# SQLite


def refuse_file(rule: str, name: Any, folder: Path = Path()) -> None:
    """Refuse the name of a SQLite database that leads to a protected file."""
    for meaning in meanings(os.fsdecode(name)):
        for file in files:
            if same_file(folder / meaning, file):
                raise refusal(rule, file)


def meanings(name: str) -> list[str]:
    """Return the paths that a name can mean: itself, and the one in it if it is a URI."""
    if name in ("", ":memory:"):
        return []
    if not name.startswith("file:"):
        return [name]
    path = name.removeprefix("file:").partition("#")[0].partition("?")[0]
    if path.startswith("//"):
        path = "/" + path[2:].partition("/")[2]
    # SQLite reads an escaped null as the end of the name.
    return [name, os.fsdecode(unquote_to_bytes(path).partition(b"\0")[0])]


def same_file(path: Path, file: Path) -> bool:
    """Tell whether a path leads to a file: links count, and it need not exist yet."""
    try:
        return path.samefile(file)
    except OSError:
        # Only one that has its name can become it, or a link. This is asked before every test, and
        # of names that are too long for a file.
        alike = path.name == file.name or os.path.islink(path)  # noqa: PTH114
        return alike and path.resolve() == file


def authorize(action: int, name: str | None, _1: object, _2: object, _3: object) -> int:
    """Deny to attach a protected file. SQLite asks several times for each new statement."""
    if action != SQLITE_ATTACH:
        return SQLITE_OK
    try:
        for meant in [name] if name is not None else bound_names():
            refuse_file("ATTACH", meant)
    except ProtectedDatabaseError as error:
        # SQLite would swallow it; see `explained`.
        denied.error = error
        return SQLITE_DENY
    return SQLITE_OK


def bound_names() -> list[str]:
    """Return what `ATTACH ?` can attach: the texts that were given with the statement."""
    given = getattr(denied, "parameters", ())
    values = given.values() if isinstance(given, Mapping) else given
    names = [os.fsdecode(value) for value in values if isinstance(value, str | bytes | Path)]
    if not names:
        raise refusal("ATTACH of a name that the statement does not spell out", "some file")
    return names


def explained(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method raise the refusal where SQLite itself only says "not authorized"."""

    def call(*arguments: Any) -> Any:
        # SQLite tells the authorizer nothing of them.
        denied.parameters = arguments[2] if len(arguments) > 2 else ()
        try:
            return method(*arguments)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) == SQLITE_AUTH:
                raise vars(denied).pop("error", error) from None
            raise

    return call


class GuardedCursor(sqlite3.Cursor):
    """A cursor that says what the guard refused."""

    execute = explained(sqlite3.Cursor.execute)
    executemany = explained(sqlite3.Cursor.executemany)
    executescript = explained(sqlite3.Cursor.executescript)


class GuardedConnection(sqlite3.Connection):
    """A connection that does not attach protected files."""

    execute = explained(sqlite3.Connection.execute)
    executemany = explained(sqlite3.Connection.executemany)
    executescript = explained(sqlite3.Connection.executescript)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Open the database, which raises the audit event."""
        super().__init__(*arguments, **options)
        self.set_authorizer(authorize)

    def cursor(self, factory: Any = GuardedCursor) -> Any:
        """Return a cursor."""
        return super().cursor(factory)


def connect_sqlite(
    *arguments: Any,
    original: Callable[..., sqlite3.Connection] = sqlite3.connect,
    **options: Any,
) -> sqlite3.Connection:
    """Connect as `sqlite3.connect` does, with the authorizer set."""
    if len(arguments) < 6:
        options.setdefault("factory", GuardedConnection)
    connection = original(*arguments, **options)
    connection.set_authorizer(authorize)
    return connection


# Servers


@cache
def watch_psycopg() -> None:
    """Look at every connection of psycopg, whichever function opens it: libpq raises no event."""
    try:
        from psycopg import BaseConnection
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        return
    # Not public, but the one place that all kinds of connections come through.
    base: Any = BaseConnection
    original = base._connect_gen.__func__

    def connect_gen(kind: Any, conninfo: str = "", /, **options: Any) -> Any:
        refuse_server("psycopg", conninfo_to_dict(conninfo))
        return original(kind, conninfo, **options)

    base._connect_gen = classmethod(connect_gen)


def refuse_server(rule: str, options: Mapping[str, Any]) -> None:
    """Refuse a connection with these options if it leads to a protected database."""
    if servers and (options.get("service") or os.environ.get("PGSERVICE")):
        raise refusal(f"{rule}; a service file hides the database", "a service")
    for endpoint in endpoints(options):
        refuse_endpoint(rule, endpoint, database_in(options))


def refuse_socket(address: Any) -> None:
    """Refuse a socket to a protected server. Which database is meant, it does not tell."""
    if isinstance(address, tuple):
        refuse_endpoint("socket.connect", (str(address[0]), str(address[1])), None)
    elif isinstance(address, str | bytes):
        folder, _, port = os.fsdecode(address).rpartition("/.s.PGSQL.")
        refuse_endpoint("socket.connect", (folder, port), None)


def refuse_endpoint(rule: str, endpoint: Endpoint, database: str | None) -> None:
    """Refuse a protected server, or on a server for tests the protected database."""
    for server, name in servers:
        if name in (None, database) and same_server(endpoint, server):
            raise refusal(rule, f"{':'.join(endpoint)}/{database or ''}")
