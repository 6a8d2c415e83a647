"""What is protected, files, folders and servers, and whether something leads there."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from .addresses import (
    PORTS,
    SOCKET,
    Endpoint,
    database_in,
    endpoints,
    other_endpoint,
    same_server,
)

# A process has one guard, because an audit hook cannot be removed.
files: set[Path] = set()
# What a file or folder keeps when it is renamed: its device and number.
identities: set[tuple[int, int]] = set()
# With the data of an engine that is embedded.
folders: set[Path] = set()
# Without a name of a database, all of that server.
servers: set[tuple[Endpoint, str | None]] = set()


class ProtectedDatabaseError(RuntimeError):
    """A test tried to reach a database that is not a test database."""


def refusal(rule: str, target: object) -> ProtectedDatabaseError:
    """Return the error that says what was refused, by which rule, and what to use instead."""
    fixture = "isolated_clickhouse" if target in folders else "db_session"
    return ProtectedDatabaseError(
        f"A test tried to open {target}, which is not a test database (rule: {rule})."
        f" Use the {fixture} fixture, and give the app `session_maker` of your Isolation; on"
        " PostgreSQL there is postgresql_database as well. See the README of testdb."
    )


def is_refused(refuse: Callable[..., object], *arguments: Any) -> bool:
    """Tell whether a function of the guard refuses what it is given."""
    try:
        refuse(*arguments)
    except ProtectedDatabaseError:
        return True
    return False


def refuse_engine(
    dialect: Any, _record: object, arguments: Any, options: Mapping[str, Any]
) -> None:
    """Refuse what SQLAlchemy is about to open, with whatever driver."""
    if dialect.name in ("duckdb", "sqlite"):
        refuse_file("SQLAlchemy", arguments[0] if arguments else options.get("database", ""))
    elif dialect.name in ("postgresql", "cockroachdb"):
        refuse_server("SQLAlchemy", options)
    elif dialect.name == "clickhousedb":
        # It comes to a socket or to chdb, where the guard waits.
        pass
    elif port := options.get("port") or PORTS.get(dialect.name):
        refuse_endpoint("SQLAlchemy", other_endpoint(options, port), None)


# Files


def protect_path(path: Path, kind: set[Path]) -> None:
    """Protect a file or a folder, whatever it will be called."""
    kind.add(path.resolve())
    with suppress(OSError):
        # It stays open: no other file gets its number as long as this process lives.
        found = os.fstat(os.open(path, os.O_RDONLY))
        identities.add((found.st_dev, found.st_ino))


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
    """Tell whether a path leads to a file: links and former names count; it need not exist yet."""
    try:
        found = path.stat()
        return (found.st_dev, found.st_ino) in identities or path.samefile(file)
    except (OSError, ValueError):
        # Only one that has its name can become it, or a link. This is asked before every test, and
        # of names that are too long for a file.
        alike = path.name == file.name or os.path.islink(path)  # noqa: PTH114
        return alike and path.resolve() == file


# Folders


def refuse_folder(rule: str, path: Path) -> None:
    """Refuse a path that leads to a protected folder, or into it."""
    if folders and "\0" not in str(path):
        found = path.resolve()
        for place in (found, *found.parents):
            for folder in folders:
                if same_file(place, folder):
                    raise refusal(rule, folder)


# Servers


def refuse_server(
    rule: str, options: Mapping[str, Any], env: Mapping[str, str] = os.environ
) -> None:
    """Refuse a connection with these options if it leads to a protected database."""
    if servers and (options.get("service") or env.get("PGSERVICE")):
        raise refusal(f"{rule}; a service file hides the database", "a service")
    for endpoint in endpoints(options, env):
        refuse_endpoint(rule, endpoint, database_in(options, env))


def refuse_socket(address: Any, database: str | None = None, rule: str = "socket.connect") -> None:
    """Refuse a socket to a protected server. Which database is meant, it does not tell itself."""
    if isinstance(address, tuple):
        refuse_endpoint(rule, (str(address[0]), str(address[1])), database)
    elif isinstance(address, str | bytes):
        name = str(Path.cwd() / os.fsdecode(address))
        folder, _, port = name.rpartition("/.s.PGSQL.")
        if "\0" not in name:
            refuse_endpoint(rule, (folder, port) if folder else (name, SOCKET), database)


def refuse_endpoint(rule: str, endpoint: Endpoint, database: str | None) -> None:
    """Refuse a protected server, or on a server for tests the protected database."""
    for server, name in servers:
        if name in (None, database) and same_server(endpoint, server):
            raise refusal(rule, f"{':'.join(endpoint)}/{database or ''}")
