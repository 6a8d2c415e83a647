"""What `db_session` finds at the end of a test, on services and schemas of other kinds."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.orm import Session, sessionmaker
from testdb.postgresql.statements import run_at_once
from testdb.run import Run
from testdb.session import SharedTransaction
from testdb.sqlite.image import open_sqlite
from testdb.sqlite.memory import MemoryDatabase
from testdb.verdicts import BrokenConstraintError


def in_session(shared: SharedTransaction) -> AbstractContextManager[Session]:
    """Do what the fixture does around a test."""
    shared.clean()
    return shared.session(lambda: False)


def execute(session: Session, *statements: str) -> None:
    """Run statements, and commit."""
    for statement in statements:
        session.execute(text(statement))
    session.commit()


# SQLite

PARENT = "CREATE TABLE parent (id INTEGER PRIMARY KEY, number INTEGER)"
CHILD = "CREATE TABLE child (parent INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"
ORPHAN = "INSERT INTO child VALUES (77)"
MISMATCH = "CREATE TABLE other (number INTEGER REFERENCES parent (number))"


@contextmanager
def on_sqlite(*migrations: str, foreign_keys: str) -> Iterator[SharedTransaction]:
    """Give the transaction of tests on a database with this schema."""
    with closing(open_sqlite()) as raw:
        for statement in migrations:
            raw.execute(statement)
        image = raw.serialize()
    engine = create_engine("sqlite://")

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA foreign_keys = {foreign_keys}")
        connection.row_factory = sqlite3.Row

    sessions = sessionmaker(join_transaction_mode="create_savepoint")
    with closing(MemoryDatabase(image)) as database:
        yield SharedTransaction(database, engine, sessions)
        engine.dispose()


# Whether the service enforces foreign keys, and what migrations left.
HARMLESS = {
    "not enforced": ("OFF", [PARENT, CHILD], ORPHAN),
    "left by migrations": ("ON", [PARENT, CHILD, ORPHAN], "INSERT INTO parent VALUES (1, 1)"),
    "no unique column": ("ON", [PARENT, MISMATCH], "INSERT INTO parent VALUES (1, 1)"),
}


@pytest.mark.parametrize(("enforced", "migrations", "statement"), HARMLESS.values(), ids=HARMLESS)
def test_what_sqlite_would_commit_is_no_fault(
    enforced: str, migrations: list[str], statement: str
) -> None:
    with on_sqlite(*migrations, foreign_keys=enforced) as shared:
        for _ in range(2):
            with in_session(shared) as session:
                execute(session, statement)


def test_a_row_without_a_parent_is_named_beside_one_that_migrations_left() -> None:
    with (
        on_sqlite(PARENT, CHILD, ORPHAN, foreign_keys="ON") as shared,
        pytest.raises(BrokenConstraintError, match="row 2 of child refers to no row of parent"),
        in_session(shared) as session,
    ):
        execute(session, ORPHAN)


# PostgreSQL


def test_threads_take_turns_on_a_connection_of_psycopg(own_run: Run) -> None:
    with own_run.postgresql.isolated() as storage, storage.connected() as connection:
        raw: Any = connection.connection.driver_connection
        with ThreadPoolExecutor(1) as threads:
            with raw.lock:
                other = threads.submit(run_at_once, raw, "SELECT 7")
                with pytest.raises(TimeoutError):
                    other.result(timeout=0.2)

            assert other.result(timeout=60) == "7"
