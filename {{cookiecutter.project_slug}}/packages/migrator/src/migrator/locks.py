"""The lock that makes runs of one project take turns on a database, and who is in the way."""

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from migrator.engine import is_lock_timeout, is_sqlite, make_postgresql_engine
from migrator.errors import LockTimeoutError

POLL_SECONDS = 0.1
# The shortest wait that is noticed, more or less.
WATCH_SECONDS = 0.25
# The longest name of a session, in bytes.
NAME_MAX = 63
# How long the end of a run waits for a server that no longer answers.
CLOSE_SECONDS = 5

# The session of a killed run may still be at work; it must end before the next run begins.
TRY_LOCK = text("""
    SELECT pg_try_advisory_lock(:id) AND NOT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE application_name = :name AND datname = current_database()
    )
""")
# The sessions that meet a condition, as messages name them.
SESSIONS = """
    SELECT format('pid %s, %L from %s, %s, query started %s', pid, application_name,
        coalesce(host(client_addr), 'local'), coalesce(state, 'state unknown'),
        coalesce(to_char(query_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), 'never'))
    FROM pg_stat_activity WHERE {}
"""
HOLDERS = text(
    SESSIONS.format("""
        datname = current_database() AND pid <> pg_backend_pid() AND (
            application_name = :name OR pid IN (
                SELECT pid FROM pg_locks
                WHERE locktype = 'advisory' AND granted AND objsubid = 1
                AND (classid::bigint << 32 | objid::bigint) = :id
            )
        )
    """)
)
BLOCKERS = text(
    SESSIONS.format("""
        pid IN (
            SELECT unnest(pg_blocking_pids(pid)) FROM pg_stat_activity
            WHERE application_name = :name AND datname = current_database()
        )
    """)
)


def application_name(project: str) -> str:
    """Return how PostgreSQL lists the connection of a run.

    The server cuts names to 63 bytes and replaces what is not printable ASCII, so names like that
    would not be found again: they are shortened, and get a hash.
    """
    name = f"{project} migration"
    if len(f"{name} lock") <= NAME_MAX and name.isascii() and name.isprintable():
        return name
    digest = hashlib.sha256(project.encode()).hexdigest()[:8]
    return f"{re.sub('[^!-~]', '_', project)[:32]} {digest} migration"


def lock_id(project: str) -> int:
    """Return the number of a project's advisory lock, a signed 64-bit integer."""
    digest = hashlib.sha256(f"{project} migration".encode()).digest()
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
    arguments = {"application_name": f"{name} lock"}
    engine = make_postgresql_engine(url, connect_args=arguments, isolation_level="AUTOCOMMIT")
    parameters = {"id": lock_id(project), "name": name}
    with engine.connect() as connection:
        end = time.monotonic() + wait_seconds
        while not connection.scalar(TRY_LOCK, parameters):
            if time.monotonic() >= end:
                holders = "; ".join(connection.scalars(HOLDERS, parameters))
                raise LockTimeoutError(f"another run did not end in {wait_seconds:g} s ({holders})")
            time.sleep(POLL_SECONDS)
        # The lock is released with the connection, even if this process is killed.
        with naming_blockers(connection, name):
            yield


@contextmanager
def naming_blockers(connection: Connection, name: str) -> Iterator[None]:
    """Add to a lock timeout the sessions that the run waited for.

    They are looked for on a connection of their own while it waits: when the server has reported
    the timeout, it has forgotten what blocked.
    """
    found: list[str] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(WATCH_SECONDS):
            try:
                found[:] = connection.scalars(BLOCKERS, {"name": name}).all() or found
            except SQLAlchemyError:
                return  # the server has gone, which the run itself reports

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except DBAPIError as error:
        if found and is_lock_timeout(error):
            error.add_note("; ".join(found))
        raise
    finally:
        ended.set()
        watcher.join(timeout=CLOSE_SECONDS)
