"""Closes connections to protected databases that were open before the guard was in place."""

import asyncio
import gc
import socket
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine

from . import rules
from .sqlite import GuardedConnection, authorize

# The driver's own class, in whose place the guard puts another one.
SqliteConnection: type[sqlite3.Connection] = GuardedConnection.__mro__[1]


def close_earlier_connections() -> None:
    """Close what leads to a protected database: engines' pools, connections, sockets.

    Whatever uses them connects again, which the guard sees.
    """
    routes: dict[type, tuple[Callable[[Any], object], Callable[[Any], object]]] = {
        Engine: (look_at_engine, dispose),
        SqliteConnection: (look_at_sqlite, SqliteConnection.close),
        socket.socket: (look_at_socket, socket.socket.close),
    }
    if psycopg := sys.modules.get("psycopg"):
        routes[psycopg.BaseConnection] = (look_at_psycopg, lambda found: found.pgconn.finish())
    # A process has many objects, and few types.
    objects = gc.get_objects()
    types = set(map(type, objects))
    for kind, (look, close) in routes.items():
        # Not isinstance: some objects that stand for others are made by asking for their class.
        kinds = {its for its in types if issubclass(its, kind)}
        for found in [thing for thing in objects if type(thing) in kinds] if kinds else ():
            if rules.is_refused(look, found):
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


def look_at_psycopg(connection: Any) -> None:
    """Refuse a connection to a protected server."""
    if not connection.closed:
        info = connection.info
        options = {"host": info.host, "port": info.port, "dbname": info.dbname}
        rules.refuse_server("psycopg", options)


def look_at_socket(connection: socket.socket) -> None:
    """Refuse a socket that is connected to a protected server."""
    # It is not connected.
    with suppress(OSError):
        rules.refuse_socket(connection.getpeername())


def dispose(engine: Engine) -> None:
    """Close the connections that an engine keeps, asynchronous ones as well."""
    if not engine.dialect.is_async:
        engine.dispose()
        return
    from sqlalchemy.ext.asyncio import AsyncEngine

    # In a thread, where no event loop can be running.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(AsyncEngine(engine).dispose())).result()
