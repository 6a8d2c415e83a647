"""What the guard refuses: files, servers, and processes that are given the name of either."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from .addresses import Endpoint, connect_arguments, database_in, endpoints, same_server

# From this variable, the workers of a parallel run learn what to protect.
REMEMBERED = "PROTECTED_DATABASE_URL"

# Between the words of a shell's command, or of a program; and after the name of a variable.
WORD_ENDS = re.compile(r"[\s'\"(),;]+(?:\w+=)?")

# A process has one guard, because an audit hook cannot be removed.
files: set[Path] = set()
# Without a name of a database, all of that server.
servers: set[tuple[Endpoint, str | None]] = set()
# Called with a word of a command, and the folder that the process starts in.
more_rules: list[Callable[[str, Path], None]] = []


class ProtectedDatabaseError(RuntimeError):
    """A test tried to reach a database that is not a test database."""


def refusal(rule: str, target: object) -> ProtectedDatabaseError:
    """Return the error that says what was refused, by which rule, and what to use instead."""
    return ProtectedDatabaseError(
        f"A test tried to open {target}, which is not a test database (rule: {rule})."
        " Use the db_session fixture, `from tests.conftest import test_session_maker`, or on"
        " PostgreSQL the postgresql_database fixture; see the README of testdb."
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
    """Refuse a process with a protected database in an argument or a variable."""
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


# Files


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


# Servers


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
