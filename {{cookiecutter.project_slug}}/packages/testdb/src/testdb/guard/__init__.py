"""Refuses connections to protected databases, whatever tries to open them.

Python announces what it opens as audit events, and one hook looks at them. What makes no event is
met where it passes: ATTACH in SQLite's authorizer, libpq in psycopg.
"""

import os
import sqlite3
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, event

from . import rules
from .addresses import connect_arguments, database_in, endpoints, same_server, servers_for_tests
from .rules import ProtectedDatabaseError
from .sqlite import GuardedConnection, connect_sqlite

__all__ = ["ProtectedDatabaseError", "hide", "protect"]


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
                rules.files.add(Path(rules.meanings(arguments[0])[-1]).resolve())
            continue
        watch_psycopg()
        for endpoint in endpoints(options):
            shared = any(same_server(endpoint, other) for other in servers_for_tests())
            rules.servers.add((endpoint, database_in(options) if shared else None))


def hide() -> None:
    """Take the URLs of protected databases out of the environment, which processes inherit.

    A service may have one under several names, and no process with one of them would start.
    """
    for name, value in list(os.environ.items()):
        if name != rules.REMEMBERED:
            try:
                rules.refuse_url(value, Path())
            except ProtectedDatabaseError:
                del os.environ[name]


@cache
def install() -> None:
    """Put the guard in place. It stays there: an audit hook cannot be removed."""
    for module in (sqlite3, sqlite3.dbapi2):
        vars(module).update(connect=connect_sqlite, Connection=GuardedConnection)
    event.listen(Engine, "do_connect", rules.refuse_engine)
    checks: dict[str, Callable[..., None]] = {
        "sqlite3.connect": lambda name: rules.refuse_file("sqlite3.connect", name),
        "socket.connect": lambda _, address: rules.refuse_socket(address),
        "subprocess.Popen": lambda _, arguments, folder, env: rules.refuse_child(
            arguments, env, folder
        ),
        "os.posix_spawn": lambda _, arguments, env: rules.refuse_child(arguments, env),
        "os.exec": lambda _, arguments, env: rules.refuse_child(arguments, env),
        "os.system": lambda command: rules.refuse_child([command], None),
    }

    def look(name: str, arguments: tuple[Any, ...]) -> None:
        if check := checks.get(name):
            check(*arguments)

    sys.addaudithook(look)


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
        rules.refuse_server("psycopg", conninfo_to_dict(conninfo))
        return original(kind, conninfo, **options)

    base._connect_gen = classmethod(connect_gen)
