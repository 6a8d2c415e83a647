"""Sends what controls the transactions of `db_session` straight to the driver.

A test needs savepoints where a service needs none. On the usual way, each takes as long as a small
query, and longer with a driver that lives in a thread of its own.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine, event

# Runs a statement on the driver's connection.
Say = Callable[[Connection, str], object]


def control_directly(engine: Engine, say: Say, begin: Sequence[str]) -> None:
    """Begin transactions with these statements, and send savepoints by the same way."""
    dialect = engine.dialect

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        for statement in begin:
            say(connection, statement)

    def savepoint(connection: Connection, name: str) -> None:
        say(connection, f"SAVEPOINT {name}")

    def release(connection: Connection, name: str) -> None:
        say(connection, f"RELEASE SAVEPOINT {name}")

    def rollback_to(connection: Connection, name: str) -> None:
        say(connection, f"ROLLBACK TO SAVEPOINT {name}")

    dialect.do_savepoint = savepoint  # type: ignore[method-assign]
    dialect.do_release_savepoint = release  # type: ignore[method-assign]
    dialect.do_rollback_to_savepoint = rollback_to  # type: ignore[method-assign]
