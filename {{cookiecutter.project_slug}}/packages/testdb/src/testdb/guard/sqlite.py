"""The guard inside `sqlite3`: ATTACH raises no audit event, so an authorizer looks at it."""

import _sqlite3
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from sqlite3 import SQLITE_ATTACH, SQLITE_AUTH, SQLITE_DENY, SQLITE_OK
from typing import Any

from .rules import ProtectedDatabaseError, refusal, refuse_file

Authorizer = Callable[..., int]

# What SQLite is asked, with which parameters, and what the guard said to it.
asked = threading.local()

# A statement that attaches what is bound to one parameter, which the guard can see.
BOUND = re.compile(r"\s*ATTACH\s+(?:DATABASE\s+)?(?:\?\d*|[:@$]\w+)\s+AS\s", re.IGNORECASE)


def install() -> None:
    """Put the guard into the module."""
    for module in (sqlite3, sqlite3.dbapi2, _sqlite3):
        vars(module).update(connect=connect_sqlite, Connection=GuardedConnection)


def authorize(action: int, name: str | None, _1: object, _2: object, _3: object) -> int:
    """Deny to attach a protected file. SQLite asks several times for each new statement."""
    if action != SQLITE_ATTACH:
        return SQLITE_OK
    try:
        for meant in [name] if name is not None else bound_names():
            refuse_file("ATTACH", meant)
    except ProtectedDatabaseError as error:
        # SQLite would swallow it; see `explained`.
        asked.error = error
        return SQLITE_DENY
    return SQLITE_OK


def bound_names() -> list[str]:
    """Return what `ATTACH ?` can attach: the texts that were given with the statement."""
    given = getattr(asked, "parameters", ())
    values = given.values() if isinstance(given, Mapping) else given
    names = [os.fsdecode(value) for value in values if isinstance(value, str | bytes | Path)]
    if not (names and BOUND.match(getattr(asked, "statement", ""))):
        raise refusal("ATTACH of a name that the statement does not spell out", "some file")
    return names


def explained(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method raise the refusal where SQLite itself only says "not authorized"."""

    def call(connection: Any, statement: str, *parameters: Any) -> Any:
        # SQLite does not pass them to the authorizer.
        asked.statement, asked.parameters = statement, parameters[0] if parameters else ()
        try:
            return method(connection, statement, *parameters)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) == SQLITE_AUTH:
                raise vars(asked).pop("error", error) from None
            raise
        finally:
            # The next statement may come by another way.
            vars(asked).clear()

    return call


def behind_guard(authorizer: Authorizer | None) -> Authorizer:
    """Return an authorizer that is asked what the guard allows."""
    if authorizer is None:
        return authorize

    def ask(action: int, *details: Any) -> int:
        return authorize(action, *details) or authorizer(action, *details)

    return ask


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
        self.set_authorizer(None)

    def set_authorizer(self, authorizer_callback: Authorizer | None) -> None:
        """Ask an authorizer behind the guard's. SQLite has room for a single one."""
        super().set_authorizer(behind_guard(authorizer_callback))

    def cursor(self, factory: Any = GuardedCursor) -> Any:
        """Return a cursor."""
        return super().cursor(factory)


@cache
def guarded(kind: type[sqlite3.Connection]) -> type[sqlite3.Connection]:
    """Return a class of connections that is guarded, also if it was made before the guard."""
    if issubclass(kind, GuardedConnection):
        return kind
    return type(kind.__name__, (GuardedConnection, kind), {})


def connect_sqlite(
    *arguments: Any,
    original: Callable[..., sqlite3.Connection] = sqlite3.connect,
    **options: Any,
) -> sqlite3.Connection:
    """Connect as `sqlite3.connect` does, with a connection that is guarded."""
    if len(arguments) < 6:
        factory = options.get("factory", GuardedConnection)
        options["factory"] = guarded(factory) if isinstance(factory, type) else factory
    connection = original(*arguments, **options)
    if not isinstance(connection, GuardedConnection):
        connection.set_authorizer(authorize)
    return connection
