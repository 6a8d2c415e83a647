"""Closes connections to protected databases that were open before the guard was in place."""

import asyncio
import gc
import socket
import sqlite3
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from . import rules
from .sqlite import GuardedConnection, authorize

Look = Callable[[Any], object]
Close = Callable[[Any], object]

# CONNECTION_BAD of libpq.
CLOSED = 1

# The driver's own class, in whose place the guard puts another one.
SqliteConnection: type[sqlite3.Connection] = GuardedConnection.__mro__[1]


def close_earlier_connections() -> None:
    """Close what leads to a protected database: engines' pools, connections, sockets.

    Whatever uses them connects again, which the guard sees.
    """
    routes: dict[type, tuple[Look, Close]] = {
        # Not in its pool, as that of a session in use.
        Connection: (look_at_connection, Connection.invalidate),
        Engine: (look_at_engine, dispose),
        SqliteConnection: (look_at_sqlite, SqliteConnection.close),
    }
    for module, (name, look, close) in DRIVERS.items():
        if driver := sys.modules.get(module):
            routes[getattr(driver, name)] = (look, close)
    # The last one: of some drivers, no socket tells which database it leads to.
    routes[socket.socket] = (look_at_socket, close_socket)
    # A process has many objects, and few types.
    objects = gc.get_objects()
    types = set(map(type, objects))
    for kind, (look, close) in routes.items():
        # Not isinstance: some objects that stand for others are made by asking for their class.
        kinds = {its for its in types if issubclass(its, kind)}
        for found in [thing for thing in objects if type(thing) in kinds] if kinds else ():
            try:
                is_refused = rules.is_refused(look, found)
            except AttributeError:
                # It is not complete: it failed to connect, and the traceback is kept.
                continue
            if is_refused:
                close(found)


def look_at_engine(engine: Engine) -> None:
    """Refuse an engine on a protected database."""
    arguments, options = engine.dialect.create_connect_args(engine.url)
    rules.refuse_engine(engine.dialect, None, arguments, options)


def look_at_sqlite(connection: Any) -> None:
    """Refuse a connection to a protected file, or with one attached, and watch the others."""
    # It is closed, or another thread's own.
    with suppress(sqlite3.ProgrammingError):
        cursor = connection.cursor()
        cursor.row_factory = None
        for _, _, file in cursor.execute("PRAGMA database_list").fetchall():
            rules.refuse_file("sqlite3", file)
        connection.set_authorizer(authorize)


def look_at_connection(connection: Connection) -> None:
    """Refuse a connection of an engine on a protected database."""
    if not connection.closed:
        look_at_engine(connection.engine)


def look_at_psycopg(connection: Any) -> None:
    """Refuse a connection of libpq, which psycopg has in its own, to a protected database."""
    if connection.status != CLOSED:
        parameters = {part.keyword.decode(): part.val for part in connection.info}
        options = {name: value.decode() for name, value in parameters.items() if value}
        refuse_open("psycopg", options)


def look_at_psycopg2(connection: Any) -> None:
    """Refuse a connection to a protected database."""
    if not connection.closed:
        refuse_open("psycopg2", connection.info.dsn_parameters)


def refuse_open(rule: str, options: Mapping[str, Any]) -> None:
    """Refuse a connection that libpq has opened with these options: variables count no longer."""
    rules.refuse_server(rule, {**options, "service": ""}, {})


def look_at_asyncpg(connection: Any) -> None:
    """Refuse a connection to a protected database."""
    if not connection.is_closed():
        rules.refuse_socket(connection._addr, connection._params.database, "asyncpg")


def close_asyncpg(connection: Any) -> None:
    """Close a connection, whose event loop may be closed."""
    with suppress(RuntimeError):
        connection.terminate()


def look_at_pg8000(connection: Any) -> None:
    """Refuse a connection to a protected database, whose name only the server knows."""
    addresses = [] if connection._usock is None else peers(connection._usock)
    for address in addresses:
        rules.refuse_socket(address, rule="pg8000")
        try:
            [[name]] = connection.execute_simple("SELECT current_database()").rows
        except sys.modules["pg8000.exceptions"].Error as error:
            # In a transaction that failed, there is no answer.
            raise rules.refusal("pg8000", address) from error
        rules.refuse_socket(address, name, "pg8000")


def look_at_socket(connection: socket.socket) -> None:
    """Refuse a socket that is connected to a protected server."""
    # It is not connected.
    with suppress(OSError):
        for address in peers(connection):
            rules.refuse_socket(address)


def peers(connection: socket.socket) -> list[Any]:
    """Return where a socket leads: to any protected folder, if its own name is a relative one.

    That is the name by which the server was started, such as an embedded one.
    """
    address = connection.getpeername()
    if not isinstance(address, str) or not address.startswith("."):
        return [address]
    name = Path(address).name
    return [f"{host}/{name}" for (host, _), _ in rules.servers if host.startswith("/")]


def close_socket(connection: socket.socket) -> None:
    """Close a socket, also for what reads it as a file: for that one, `close` would wait."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def dispose(engine: Engine) -> None:
    """Close the connections that an engine keeps, asynchronous ones as well."""
    if not engine.dialect.is_async:
        engine.dispose()
        return
    from sqlalchemy.ext.asyncio import AsyncEngine

    # In a thread, where no event loop can be running.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(AsyncEngine(engine).dispose())).result()


# The module of each driver's own class of connections, which is loaded or not, and its name there.
DRIVERS: dict[str, tuple[str, Look, Close]] = {
    # psycopg has one of these, in Python or compiled.
    **dict.fromkeys(
        ("psycopg.pq.pq_ctypes", "psycopg_binary.pq", "psycopg_c.pq"),
        ("PGconn", look_at_psycopg, lambda found: found.finish()),
    ),
    "psycopg2._psycopg": ("connection", look_at_psycopg2, lambda found: found.close()),
    "asyncpg.connection": ("Connection", look_at_asyncpg, close_asyncpg),
    "pg8000.core": ("CoreConnection", look_at_pg8000, lambda found: close_socket(found._usock)),
}
