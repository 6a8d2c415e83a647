"""Sends what controls the transactions of `db_session` straight to the driver.

A test needs savepoints where a service needs none. On the usual way, each takes as long as a small
query, and longer with a driver that lives in a thread of its own.
"""

from collections.abc import Callable, Sequence
from functools import partial

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

    def send(words: str, connection: Connection, name: str) -> None:
        say(connection, f"{words} {name}")

    vars(dialect).update(
        do_savepoint=partial(send, "SAVEPOINT"),
        do_release_savepoint=partial(send, "RELEASE SAVEPOINT"),
        do_rollback_to_savepoint=partial(send, "ROLLBACK TO SAVEPOINT"),
    )
