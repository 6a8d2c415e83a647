"""The connections of an engine, and whether a test left settings on one of them.

A transaction that is rolled back takes rows along, and no settings of the connection: PRAGMAs,
functions, attributes of the driver's object. A connection on which they changed serves no other
test.
"""

import sqlite3
from collections import deque
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from .loops import keep_to_this_loop

# What sqlite3, psycopg and psycopg2 let callers set on a connection, or keep for them there;
# `changes` is of `sqlite/watched.py`.
ATTRIBUTES = (
    "_notice_handlers",
    "_notifies_backlog",
    "_notify_handlers",
    "autocommit",
    "changes",
    "cursor_factory",
    "deferrable",
    "encoding",
    "isolation_level",
    "notices",
    "notifies",
    "prepare_threshold",
    "read_only",
    "readonly",
    "row_factory",
    "text_factory",
)


class Connections:
    """The connections that an engine has opened."""

    def __init__(self, engine: Engine) -> None:
        """Watch an engine that has all of the service's own listeners."""
        self.in_use: set[ConnectionPoolEntry] = set()  # not every pool counts them
        self.used: set[ConnectionPoolEntry] = set()  # since the last call of `take_used`
        # Some pools make one for each connection, and forget it.
        self.opened: WeakKeyDictionary[ConnectionPoolEntry, object] = WeakKeyDictionary()
        keep_to_this_loop(engine)
        event.listen(engine, "connect", self.note_connect)
        event.listen(engine, "checkout", self.note_checkout)
        event.listen(engine, "checkin", lambda _, record: self.in_use.discard(record))

    def note_connect(self, _: object, record: ConnectionPoolEntry) -> None:
        """Note what is set when the service has set up a connection."""
        self.opened[record] = settings(record), dict(record.info)

    def note_checkout(self, _: object, record: ConnectionPoolEntry, __: object) -> None:
        """Note that a connection is in use."""
        self.in_use.add(record)
        self.used.add(record)

    def take_used(self) -> list[ConnectionPoolEntry]:
        """Return the open connections that were in use since the last call."""
        used = [record for record in self.used if record.dbapi_connection is not None]
        self.used.clear()
        return used

    @property
    def prepare_nothing(self) -> bool:
        """Whether the driver prepares no statements on any of the open connections."""
        return all(
            getattr(record.driver_connection, "prepare_threshold", 0) is None
            for record in self.opened
            if record.dbapi_connection is not None
        )

    def are_as_opened(self, records: Iterable[ConnectionPoolEntry]) -> bool:
        """Tell whether nothing is set on connections that was not when they were opened."""
        return all(self.opened[record] == (settings(record), record.info) for record in records)


def settings(record: ConnectionPoolEntry) -> tuple[Any, ...]:
    """Return what is set on the driver's own object."""
    connection = record.driver_connection
    # aiosqlite passes some attributes on, and not all.
    raw = getattr(connection, "_conn", connection)
    try:
        if not isinstance(raw, sqlite3.Connection) or hasattr(raw, "changes"):
            return tuple(copied(getattr(raw, name, None)) for name in ATTRIBUTES)
    except sqlite3.Error:
        # It is closed.
        pass
    return (object(),)  # nothing is known, and nothing equals it


def copied(value: Any) -> Any:
    """Return a value that stays as it is."""
    return tuple(value) if isinstance(value, (list, deque)) else value
