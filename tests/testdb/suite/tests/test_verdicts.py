"""What `db_session` finds at the end of a test, on services and schemas of other kinds."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from typing import Any, cast

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker
from testdb.postgresql.server import connect_server
from testdb.postgresql.statements import run_at_once
from testdb.run import Run
from testdb.session import SharedTransaction
from testdb.sqlite.image import open_sqlite
from testdb.sqlite.memory import MemoryDatabase
from testdb.verdicts import BrokenConstraintError, FailedStatementError, VanishedTransactionError

Listener = Callable[[Any, object], None]


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

DRIVERS = pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])


@contextmanager
def on_postgresql(own_run: Run, driver: str, *listeners: Listener) -> Iterator[SharedTransaction]:
    """Give the transaction of tests by a driver, with what the service does as it connects."""
    with own_run.postgresql.shared(None) as database:
        engine = create_engine(database.url.set(drivername=f"postgresql+{driver}"))
        for listener in listeners:
            event.listen(engine, "connect", listener)
        sessions = sessionmaker(join_transaction_mode="create_savepoint")
        yield SharedTransaction(database, engine, sessions)
        engine.dispose()


def set_time_zone(connection: Any, _: object) -> None:
    """Set something, and leave that in a transaction."""
    connection.cursor().execute("SET TIME ZONE 'Asia/Tokyo'")


@DRIVERS
def test_what_a_listener_sets_without_a_commit_holds(own_run: Run, driver: str) -> None:
    with on_postgresql(own_run, driver, set_time_zone) as shared:
        for _ in range(2):
            with in_session(shared) as session:
                assert session.scalar(text("SHOW TIME ZONE")) == "Asia/Tokyo"
                session.rollback()
                assert session.scalar(text("SHOW TIME ZONE")) == "Asia/Tokyo"


# What is raised when it is checked, and no error of integrity.
BALANCE = """
CREATE FUNCTION check_balance() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION 'unbalanced'; END $$;
CREATE CONSTRAINT TRIGGER balance AFTER INSERT ON log DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION check_balance();
INSERT INTO log (action) VALUES ('unbalanced')
"""


@DRIVERS
def test_what_a_deferred_trigger_raises_is_a_broken_constraint(own_run: Run, driver: str) -> None:
    with (
        on_postgresql(own_run, driver) as shared,
        pytest.raises(BrokenConstraintError, match="would have failed: unbalanced"),
        in_session(shared) as session,
    ):
        execute(session, BALANCE)


@DRIVERS
def test_a_statement_that_fails_outside_of_a_session_is_named(own_run: Run, driver: str) -> None:
    with (
        on_postgresql(own_run, driver) as shared,
        pytest.raises(FailedStatementError, match="failed on the connection itself"),
        in_session(shared) as session,
        suppress(DBAPIError),
    ):
        cast("Connection", session.get_bind()).execute(text("SELECT 1 / 0"))


@DRIVERS
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "COMMIT; BEGIN"])
def test_a_transaction_that_a_test_ends_is_no_broken_constraint(
    own_run: Run, driver: str, end: str
) -> None:
    with (
        on_postgresql(own_run, driver) as shared,
        pytest.raises(VanishedTransactionError, match="use isolated_database"),
        in_session(shared) as session,
    ):
        session.connection().exec_driver_sql(end)


def test_listeners_of_all_engines_do_not_disturb_those_of_testdb(own_run: Run) -> None:
    server = own_run.postgresql.server
    event.listen(Engine, "connect", set_time_zone)
    try:
        with (
            connect_server(server.url, server.run) as other,
            own_run.postgresql.isolated() as storage,
        ):
            assert other.databases()
            assert storage.renew() == "nothing"
            assert storage.reset() == "nothing"
            with storage.connected() as connection:
                connection.execute(text("CREATE INDEX extra ON users (name)"))
                connection.commit()
            assert storage.renew() == "spare"
    finally:
        event.remove(Engine, "connect", set_time_zone)


def test_threads_take_turns_on_a_connection_of_psycopg(own_run: Run) -> None:
    with own_run.postgresql.isolated() as storage, storage.connected() as connection:
        raw: Any = connection.connection.driver_connection
        with ThreadPoolExecutor(1) as threads:
            with raw.lock:
                other = threads.submit(run_at_once, raw, "SELECT 7")
                with pytest.raises(TimeoutError):
                    other.result(timeout=0.2)

            assert other.result(timeout=60) == "7"
