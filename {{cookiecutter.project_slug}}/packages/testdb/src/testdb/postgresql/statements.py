"""Sends statements past SQLAlchemy: several in one message, or past psycopg's cursor."""

from contextlib import nullcontext
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection

PSYCOPG = ("psycopg", "psycopg_async")

# For testdb's own engines. SQLAlchemy's isolation level comes too late where a listener of the
# service makes all engines run a statement as they connect.
AUTOCOMMIT = {"autocommit": True}


def is_free(dialect: Dialect, connection: Any) -> bool:
    """Tell whether `run_at_once` may use a connection. Another task may have a query there."""
    return dialect.driver in PSYCOPG and not connection.lock.locked() and not connection.closed


def run_at_once(connection: Any, *statements: str) -> str:
    """Run statements by libpq itself, on a connection of psycopg in either style.

    Psycopg's cursors take longer than the server. Returns the one value of the last statement, if
    that has a result.
    """
    from psycopg import errors, pq

    # As the cursors do: libpq's connections are for one thread at a time. No task comes between.
    lock = connection.lock
    with lock if hasattr(lock, "__enter__") else nullcontext():
        result = connection.pgconn.exec_("; ".join(statements).encode())
    if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        raise errors.error_from_result(result)
    return (result.get_value(0, 0) or b"").decode() if result.ntuples else ""


def forget_notifications(connection: Any) -> None:
    """Drop what a connection has received and not given to anyone, by psycopg or psycopg2."""
    if hasattr(connection, "pgconn"):
        while connection.pgconn.notifies():
            pass
    elif isinstance(getattr(connection, "notifies", None), list):
        connection.notifies.clear()


def send(connection: Connection, *statements: str) -> None:
    """Run statements on the driver's connection."""
    execute(connection.dialect, connection.connection, *statements)


def execute(dialect: Dialect, connection: DBAPIConnection, *statements: str) -> None:
    """Run statements on the driver's own or a pool's connection."""
    raw: Any = getattr(connection, "driver_connection", connection)
    if is_free(dialect, raw):
        run_at_once(raw, *statements)
        return
    if dialect.driver.startswith("psycopg"):
        # It takes several in one message. A small test takes not much longer than one more.
        statements = ("; ".join(statements),)
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()


def sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE of a driver's error, "none" if the server did not send it."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "none"
