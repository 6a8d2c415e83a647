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
from testdb.postgresql import database
from testdb.postgresql.server import connect_server
from testdb.postgresql.statements import run_at_once
from testdb.run import Run
from testdb.session import SharedTransaction
from testdb.sqlite.image import open_sqlite
from testdb.sqlite.memory import MemoryDatabase
from testdb.verdicts import (
    BrokenConstraintError,
    FailedStatementError,
    LostConnectionError,
    OverlappingSessionsError,
    SecondConnectionError,
    VanishedTransactionError,
)

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


def end_transaction(session: Session, *statements: str) -> None:
    """Run statements, and end the transaction that would have undone them."""
    execute(session, *statements)
    session.execute(text("COMMIT"))


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


def test_values_that_are_not_of_their_columns_type_can_be_compared() -> None:
    events = "CREATE TABLE events (id INTEGER PRIMARY KEY, at DATETIME, paid NUMERIC, raw BLOB)"
    row = "INSERT INTO events VALUES (1, unixepoch(), 'none', x'ff')"
    with (
        on_sqlite(events, row, foreign_keys="ON") as shared,
        pytest.raises(VanishedTransactionError, match="events: 1 added, 0 removed, 1 changed"),
        in_session(shared) as session,
    ):
        end_transaction(session, "UPDATE events SET raw = x'fe'", row.replace("(1", "(2"))


@pytest.mark.filterwarnings("ignore:nested transaction already deassociated")
def test_a_savepoint_that_ends_in_the_middle_of_a_sessions_work_is_named() -> None:
    with (
        on_sqlite(PARENT, foreign_keys="ON") as shared,
        pytest.raises(OverlappingSessionsError, match=r"or a `begin_nested\(\)` of their"),
        in_session(shared) as session,
        cast("Connection", session.get_bind()).begin_nested(),
    ):
        session.execute(text("INSERT INTO parent VALUES (1, 1)"))


# How a connection is lost.
TERMINATE = text("SELECT pg_terminate_backend(pg_backend_pid())")
LOSSES: dict[str, Callable[[Session], object]] = {
    "invalidated": lambda session: session.connection().invalidate(),
    "closed": lambda session: driver_of(session.connection()).close(),
    "closed after a commit": lambda session: driver_of(session.get_bind()).close(),
}


def driver_of(connection: Any) -> Any:
    """Return the driver's own connection."""
    return connection.connection.driver_connection


def terminate(session: Session) -> None:
    """Let the server close the connection."""
    with suppress(DBAPIError):
        session.execute(TERMINATE)


def lose_connection(shared: SharedTransaction, statement: str, way: str) -> None:
    """Do what a test does that changes something, and loses its connection."""
    steps = in_session(shared)
    session = steps.__enter__()
    execute(session, statement)

    LOSSES.get(way, terminate)(session)

    with pytest.raises(LostConnectionError, match="a query on it was cancelled"):
        steps.__exit__(None, None, None)


@pytest.mark.parametrize("way", LOSSES)
def test_a_lost_connection_to_sqlite_is_named_and_harms_no_other_test(way: str) -> None:
    with on_sqlite(PARENT, foreign_keys="ON") as shared:
        lose_connection(shared, "INSERT INTO parent VALUES (1, 1)", way)
        with in_session(shared) as session:
            assert session.scalar(text("SELECT count(*) FROM parent")) == 0


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
@pytest.mark.parametrize("way", [*LOSSES, "terminated"])
def test_a_lost_connection_to_postgresql_is_named_and_harms_no_other_test(
    own_run: Run, driver: str, way: str
) -> None:
    with on_postgresql(own_run, driver) as shared:
        lose_connection(shared, "INSERT INTO log (action) VALUES ('lost')", way)
        with in_session(shared) as session:
            assert session.scalar(text("SELECT count(*) FROM log")) == 1


@DRIVERS
def test_a_second_connection_that_waits_for_the_first_is_named(
    own_run: Run, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", "50ms")
    add = text("INSERT INTO log (id, action) VALUES (7, 'added')")
    with on_postgresql(own_run, driver) as shared, in_session(shared) as session:
        engine = cast("Connection", session.get_bind()).engine
        with engine.begin() as connection:
            assert connection.scalar(text("SELECT count(*) FROM log")) == 1
        session.execute(add)
        with (
            pytest.raises(SecondConnectionError, match="holds its locks until the test ends"),
            engine.begin() as connection,
        ):
            connection.execute(add)
        assert session.scalar(text("SHOW lock_timeout")) == "0"


def test_dates_that_python_cannot_hold_can_be_compared(own_run: Run) -> None:
    with (
        on_postgresql(own_run, "psycopg") as shared,
        pytest.raises(VanishedTransactionError, match="prices: 2 added"),
        in_session(shared) as session,
    ):
        end_transaction(
            session,
            "CREATE TABLE prices (id INTEGER PRIMARY KEY, ends TIMESTAMPTZ, during TSTZRANGE)",
            "INSERT INTO prices VALUES (1, 'infinity', '[,infinity]'), (2, '0002-01-01 BC', NULL)",
        )


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
