"""The connections that migrations run on, and the lock that makes runs take turns.

They are always synchronous, and strict about transactions. The service's own engine would do
neither: it enforces foreign keys while tables are rebuilt, and waits for locks as long as it takes.
"""

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, text

from placeholder_service.db.migrate.errors import LockTimeoutError

# The first with the operator ->>, which constraints of the schema use.
OLDEST_SQLITE = (3, 38)

# How the server lists the connection of a run, and the one that holds its lock.
NAME = "placeholder_service migration"
LOCK_NAME = f"{NAME} lock"

# The same for all runs of this project, and hardly ever that of another one on the same database.
LOCK_ID = int.from_bytes(hashlib.sha256(NAME.encode()).digest()[:8], signed=True)
POLL_SECONDS = 0.1

# How long a reader waits for a SQLite file: the time of a large commit.
COMMIT_SECONDS = 60

# The session of a run that was killed may still be at work; it ends before the next run begins.
TRY_LOCK = text("""
    SELECT pg_try_advisory_lock(:id) AND NOT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE application_name = :name AND datname = current_database()
    )
""")
HOLDERS = text("""
    SELECT pid, application_name, coalesce(host(client_addr), 'local') FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND (
        application_name = :name OR pid IN (
            SELECT pid FROM pg_locks
            WHERE locktype = 'advisory' AND granted AND objsubid = 1
            AND (classid::bigint << 32 | objid::bigint) = :id
        )
    )
""")


def make_migration_engine(url: URL, lock_timeout_ms: int, wait_seconds: float) -> Engine:
    """Return an engine for one migration run on the database at `url`.

    `lock_timeout_ms` bounds the wait for each lock on PostgreSQL. Queries that wait behind a
    migration's lock wait at most as long. `wait_seconds` bounds the wait for a SQLite file.
    """
    if url.get_backend_name() == "sqlite":
        return make_sqlite_migration_engine(url, wait_seconds)
    # As a start-up option: a SET on the connection would open a transaction before Alembic
    # does, and Alembic would then leave the commit to whoever opened it.
    options = f"{url.query.get('options', '')} -c lock_timeout={lock_timeout_ms}"
    arguments = {"options": options.strip(), "application_name": NAME}
    return create_engine(url, poolclass=NullPool, connect_args=arguments)


def make_sqlite_migration_engine(url: URL, wait_seconds: float) -> Engine:
    """Return an engine that holds the file's write lock for the whole run.

    Runs that start at the same time wait for it, and find nothing left to do.

    Raises:
        RuntimeError: The SQLite of this Python is too old.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise RuntimeError(f"SQLite {needed} is needed; this Python has {sqlite3.sqlite_version}")
    # SQLite makes the file, but not its folder.
    Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": wait_seconds})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        # The driver would commit before DDL; the whole run is to be one transaction.
        connection.isolation_level = None
        # Batch operations replace tables. With foreign keys on, dropping the old table would
        # delete every row that refers to it; check_foreign_keys looks at the result instead.
        connection.execute("PRAGMA foreign_keys = OFF")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


@contextmanager
def reading(url: URL) -> Iterator[Connection]:
    """Give a connection for looking only: it takes no lock, and outwaits another run's commit."""
    arguments = {"timeout": COMMIT_SECONDS} if url.get_backend_name() == "sqlite" else {}
    engine = create_engine(url, poolclass=NullPool, connect_args=arguments)
    with engine.connect() as connection:
        yield connection


def is_missing_file(url: URL) -> bool:
    """Tell whether the database is a file that is not there. Connecting would create it."""
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return is_file and not Path(str(url.database)).exists()


@contextmanager
def one_run_at_a_time(url: URL, wait_seconds: float) -> Iterator[None]:
    """Let no other run of this project work on the database meanwhile.

    On SQLite the run's own transaction does that. On PostgreSQL it is an advisory lock on a second
    connection. That one is asked for again and again, outside any transaction: a waiting query
    would have a snapshot, which `CREATE INDEX CONCURRENTLY` in the other run would wait for.

    Raises:
        LockTimeoutError: Another run did not end within `wait_seconds`.
    """
    if url.get_backend_name() == "sqlite":
        yield
        return
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
        connect_args={"application_name": LOCK_NAME},
    )
    names = {"id": LOCK_ID, "name": NAME}
    with engine.connect() as connection:
        end = time.monotonic() + wait_seconds
        while not connection.scalar(TRY_LOCK, names):
            if time.monotonic() >= end:
                holders = connection.execute(HOLDERS, names).all()
                who = "; ".join(f"{name!r}, pid {pid}, {address}" for pid, name, address in holders)
                raise LockTimeoutError(f"another run did not end in {wait_seconds:g} s ({who})")
            time.sleep(POLL_SECONDS)
        # The lock goes with the connection, even if this process is killed.
        yield


def check_foreign_keys(connection: Connection) -> None:
    """Make sure that no row refers to a missing one; for SQLite, before the commit.

    Raises:
        RuntimeError: Some do. It names the first tables, and the run is rolled back.
    """
    if connection.dialect.name != "sqlite":
        return
    orphans = connection.execute(text("PRAGMA foreign_key_check")).all()
    if orphans:
        pairs = sorted({f"{child} → {parent}" for child, _, parent, _ in orphans})
        raise RuntimeError(f"{len(orphans)} rows refer to missing ones ({', '.join(pairs)})")
