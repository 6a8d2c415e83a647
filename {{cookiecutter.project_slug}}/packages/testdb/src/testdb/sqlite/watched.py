"""SQLite connections that count what a test sets on them, and no rollback takes back."""

import re
import sqlite3
from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import Engine, event

# Methods that change how a connection behaves; some came with later versions of Python.
METHODS = (
    "create_aggregate",
    "create_collation",
    "create_function",
    "create_window_function",
    "enable_load_extension",
    "load_extension",
    "set_progress_handler",
    "set_trace_callback",
    "setconfig",
    "setlimit",
)
# PRAGMAs whose argument says what to read.
READING = re.compile(r"_(info|xinfo|list|check)$")

Authorizer = Callable[..., int]


class WatchedConnection(sqlite3.Connection):
    """A connection with a count of changes to itself."""

    changes = 0  # by a PRAGMA, ATTACH, a temporary table or a method
    authorizer: Authorizer | None = None

    def set_authorizer(self, authorizer: Authorizer | None) -> None:
        """Ask an authorizer, behind the one that counts. SQLite has room for a single one."""
        self.changes += 1
        self.authorizer = authorizer
        super().set_authorizer(self.authorize)

    def authorize(self, action: int, *details: Any) -> int:
        """Count what changes the connection, once for each new statement."""
        name, argument, database = details[:3]
        if (
            action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH)
            or (action == sqlite3.SQLITE_INSERT and database == "temp")
            or (action == sqlite3.SQLITE_PRAGMA and argument and not READING.search(name))
        ):
            self.changes += 1
        return sqlite3.SQLITE_OK if self.authorizer is None else self.authorizer(action, *details)


def counting(name: str) -> Callable[..., Any]:
    """Return a method that counts and does what it always does."""

    def call(connection: WatchedConnection, *arguments: Any, **options: Any) -> Any:
        connection.changes += 1
        return getattr(super(WatchedConnection, connection), name)(*arguments, **options)

    return call


for _name in METHODS:
    if hasattr(sqlite3.Connection, _name):
        setattr(WatchedConnection, _name, counting(_name))


@cache
def watched(factory: type[sqlite3.Connection]) -> type[sqlite3.Connection]:
    """Return a kind of connection like `factory` that counts changes."""
    if issubclass(factory, WatchedConnection):
        return factory
    return type(factory.__name__, (WatchedConnection, factory), {})


def watch(engine: Engine) -> None:
    """Make an engine open connections that count changes."""

    def choose_factory(_: object, __: object, ___: object, options: dict[str, Any]) -> None:
        factory = options.get("factory", sqlite3.Connection)
        if isinstance(factory, type):
            options["factory"] = watched(factory)

    event.listen(engine, "do_connect", choose_factory)
