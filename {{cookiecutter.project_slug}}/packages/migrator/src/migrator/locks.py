"""The lock that makes runs of one project take turns on a database."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, NullPool, create_engine, text

from migrator.engine import is_sqlite
from migrator.errors import LockTimeoutError

POLL_SECONDS = 0.1

# The session of a killed run may still be at work; it must end before the next run begins.
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


def application_name(project: str) -> str:
    """Return how PostgreSQL lists the connection of a run."""
    return f"{project} migration"


def lock_id(project: str) -> int:
    """Return the number of a project's advisory lock, a signed 64-bit integer."""
    digest = hashlib.sha256(application_name(project).encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


@contextmanager
def one_run_at_a_time(url: URL, project: str, wait_seconds: float) -> Iterator[None]:
    """Keep other runs of the project off the database.

    On SQLite the run's own transaction does that. On PostgreSQL it is an advisory lock on a second
    connection, which is polled outside any transaction: a query that waits for the lock would hold
    a snapshot, and `CREATE INDEX CONCURRENTLY` in the other run would wait for that snapshot.

    Raises:
        LockTimeoutError: Another run did not end within `wait_seconds`.
    """
    if is_sqlite(url):
        yield
        return
    name = application_name(project)
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
        connect_args={"application_name": f"{name} lock"},
    )
    parameters = {"id": lock_id(project), "name": name}
    with engine.connect() as connection:
        end = time.monotonic() + wait_seconds
        while not connection.scalar(TRY_LOCK, parameters):
            if time.monotonic() >= end:
                rows = connection.execute(HOLDERS, parameters).all()
                holders = "; ".join(
                    f"{name!r}, pid {pid}, {address}" for pid, name, address in rows
                )
                raise LockTimeoutError(f"another run did not end in {wait_seconds:g} s ({holders})")
            time.sleep(POLL_SECONDS)
        # The lock is released with the connection, even if this process is killed.
        yield
