"""The connections that migrations run on: synchronous, and strict about transactions.

An application's own engine does not fit: it enforces foreign keys while tables are rebuilt, and
waits for locks without a limit.
"""

import re
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import CompileError, DBAPIError, SAWarning

from migrator.errors import LockTimeoutError
from migrator.urls import with_database, with_options_of_libpq

# The first version with the operator ->>, which constraints may use.
OLDEST_SQLITE = (3, 38)

# Seconds between two attempts to lock a SQLite file.
POLL_SECONDS = 0.05

# Steps of SQLite's machine, some milliseconds, after which Python looks for signals.
STEPS = 100_000

# What libpq is told unless the URL says otherwise: give up on a server that does not answer, and
# notice one that is gone. In seconds, but for the last one, in milliseconds. And send texts as
# psycopg can read them, whatever PGCLIENTENCODING says.
LIBPQ_DEFAULTS = {
    "client_encoding": "utf8",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}

UNKNOWN_TYPE = re.compile(r"Compiler <.*SQLiteTypeCompiler.*> can't render element of type (\w+)")
ADVICE = (
    r"SQLite has no type \1, and revisions run there (write"
    r' sa.JSON().with_variant(postgresql.\1(…), "postgresql") or the like)'
)

LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK = "40P01"

DOMAIN = re.compile(r"Compiler <.*> can't render element of type <class '.*CreateDomainType'>")
ADVICE_ON_DOMAINS = (
    "SQLite has no domains, and revisions run there (create it in SQL on PostgreSQL only, and write"
    " postgresql.DOMAIN(…, create_type=False))"
)

EXPECTED = (
    "Skipped unsupported reflection",
    "Can(not|'t) .*sort tables",
    "Can't validate argument '(dialect_options|not_valid)'",
)

SYNC_DRIVERS = {
    "sqlite+aiosqlite": "sqlite",
    "postgresql+asyncpg": "postgresql+psycopg",
    "postgresql+psycopg_async": "postgresql+psycopg",
}


def sync_url(url: URL) -> URL:
    """Return the URL of the same database with a synchronous driver."""
    url = with_database(with_options_of_libpq(url))
    return url.set(drivername=SYNC_DRIVERS.get(url.drivername, url.drivername))


def is_sqlite(url: URL) -> bool:
    """Return whether this is a SQLite database."""
    return url.get_backend_name() == "sqlite"


def is_in_memory(url: URL) -> bool:
    """Return whether the database would vanish with its connection."""
    return is_sqlite(url) and url.database in (None, "", ":memory:")


def is_missing_file(url: URL) -> bool:
    """Return whether the database is a file that does not exist. Connecting would create it."""
    return is_sqlite(url) and not is_in_memory(url) and not Path(str(url.database)).exists()


def make_migration_engine(
    url: URL, lock_timeout_ms: int, wait_seconds: float, application_name: str = "migrator"
) -> Engine:
    """Return an engine for one migration run.

    PostgreSQL waits for each lock at most `lock_timeout_ms`, SQLite for the file `wait_seconds`.
    """
    if is_sqlite(url):
        return make_sqlite_migration_engine(url, wait_seconds)
    engine = make_postgresql_engine(url, connect_args={"application_name": application_name})

    @event.listens_for(engine, "connect")
    def limit_waits(connection: Any, _: object) -> None:
        # Not a start-up option, which poolers refuse or drop. And not in a transaction: Alembic
        # would leave the commit of one that is open before its own to its caller.
        connection.autocommit = True
        connection.cursor().execute(f"SET lock_timeout = {lock_timeout_ms}")
        connection.autocommit = False

    return engine


def make_postgresql_engine(url: URL, **options: Any) -> Engine:
    """Return an engine that gives up on a server that does not answer."""
    return create_engine(with_limits(url), poolclass=NullPool, **options)


def with_limits(url: URL) -> URL:
    """Return the URL of a PostgreSQL server with what it leaves open about lost connections."""
    return url.update_query_dict({**LIBPQ_DEFAULTS, **url.query})


def make_sqlite_migration_engine(url: URL, wait_seconds: float) -> Engine:
    """Return an engine that holds the file's write lock for the whole run.

    Runs that start at the same time wait for the lock and then find nothing left to do.
    """
    engine = make_sqlite_engine(url, wait_seconds, "BEGIN IMMEDIATE")

    @event.listens_for(engine, "do_connect")
    def make_folder(*_: object) -> None:
        # SQLite creates the file, but not its folder.
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        # Batch operations replace tables. With foreign keys on, dropping the old table would
        # delete every row that refers to it. The result is checked before the commit instead.
        connection.execute("PRAGMA foreign_keys = OFF")

    return engine


def make_sqlite_engine(url: URL, wait_seconds: float, *begin: str) -> Engine:
    """Return an engine whose transactions begin with these statements, which take the lock.

    Signals interrupt a wait for the lock, and a statement. SQLite's own wait would last until its
    end, so it applies only to the commit, which waits for readers.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise RuntimeError(f"SQLite {needed} is needed; this Python has {sqlite3.sqlite_version}")
    engine = create_engine(url, poolclass=NullPool)
    event.listen(engine, "connect", heed_signals)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        # The driver would commit before each DDL statement; the whole run is one transaction.
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def take_lock(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        end = time.monotonic() + wait_seconds
        while True:
            try:
                for statement in begin:
                    connection.exec_driver_sql(statement)
                break
            except DBAPIError as error:
                if not is_lock_timeout(error) or time.monotonic() >= end:
                    raise
            # BEGIN may have succeeded, and what follows it not.
            connection.connection.rollback()
            time.sleep(POLL_SECONDS)
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(wait_seconds * 1000)}")

    return engine


def heed_signals(connection: Any, _: object) -> None:
    """Let a signal interrupt a statement of SQLite, which would otherwise run to its end."""
    connection.set_progress_handler(lambda: None, STEPS)


@contextmanager
def reading(url: URL, wait_seconds: float) -> Iterator[Connection]:
    """Yield a connection for reading. It waits for another run's commit, and blocks none for long.

    Raises:
        LockTimeoutError: The database stayed locked for `wait_seconds`.
    """
    if is_sqlite(url):
        # The second statement takes the lock; a transaction that only began has none.
        engine = make_sqlite_engine(url, wait_seconds, "BEGIN", "SELECT 1 FROM sqlite_master")
    else:
        engine = make_postgresql_engine(url)
        limit = f"SET LOCAL lock_timeout = {max(1, round(wait_seconds * 1000))}"
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(limit))
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        if is_lock_timeout(error):
            raise LockTimeoutError(f"the database stayed locked for {wait_seconds:g} s") from error
        raise


def is_lock_timeout(error: DBAPIError) -> bool:
    """Return whether a statement failed only because it waited too long for a lock."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return getattr(error.orig, "sqlstate", "") == LOCK_NOT_AVAILABLE or code == sqlite3.SQLITE_BUSY


@contextmanager
def expected_warnings() -> Iterator[None]:
    """Silence what SQLAlchemy says of schemas that are in order, and that migrator takes care of.

    SQLAlchemy does not read indexes of SQLite on expressions, cannot sort tables that refer to each
    other, and stumbles over a CHECK that is NOT VALID.
    """
    with warnings.catch_warnings():
        for text in EXPECTED:
            warnings.filterwarnings("ignore", text, SAWarning)
        yield


@contextmanager
def explaining_types() -> Iterator[None]:
    """Say what to write instead of a type that SQLite lacks; SQLAlchemy names its own compiler."""
    try:
        yield
    except CompileError as error:
        message = UNKNOWN_TYPE.sub(ADVICE, str(error.args[0]))
        error.args = (DOMAIN.sub(ADVICE_ON_DOMAINS, message), *error.args[1:])
        raise


def is_deadlock(error: DBAPIError) -> bool:
    """Return whether PostgreSQL undid a transaction because another one waited for it as well."""
    return getattr(error.orig, "sqlstate", "") == DEADLOCK
