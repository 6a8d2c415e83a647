"""The connections that migrations run on: synchronous, and strict about transactions.

An application's own engine does not fit: it enforces foreign keys while tables are rebuilt, and
waits for locks without a limit.
"""

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import SAWarning

# The first version with the operator ->>, which constraints may use.
OLDEST_SQLITE = (3, 38)

# How long a reader waits for a SQLite file: the time of a large commit.
COMMIT_SECONDS = 60

SYNC_DRIVERS = {
    "sqlite+aiosqlite": "sqlite",
    "postgresql+asyncpg": "postgresql+psycopg",
    "postgresql+psycopg_async": "postgresql+psycopg",
}


def sync_url(url: URL) -> URL:
    """Return the URL of the same database with a synchronous driver."""
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
    # As a start-up option: a SET statement would open a transaction before Alembic does, and
    # Alembic would then leave the commit to its caller.
    options = f"{url.query.get('options', '')} -c lock_timeout={lock_timeout_ms}"
    arguments = {"options": options.strip(), "application_name": application_name}
    return create_engine(url, poolclass=NullPool, connect_args=arguments)


def make_sqlite_migration_engine(url: URL, wait_seconds: float) -> Engine:
    """Return an engine that holds the file's write lock for the whole run.

    Runs that start at the same time wait for the lock and then find nothing left to do.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise RuntimeError(f"SQLite {needed} is needed; this Python has {sqlite3.sqlite_version}")
    # SQLite creates the file, but not its folder.
    Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": wait_seconds})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        # The driver would commit before each DDL statement; the whole run is one transaction.
        connection.isolation_level = None
        # Batch operations replace tables. With foreign keys on, dropping the old table would
        # delete every row that refers to it. The result is checked before the commit instead.
        connection.execute("PRAGMA foreign_keys = OFF")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


@contextmanager
def reading(url: URL) -> Iterator[Connection]:
    """Yield a connection for reading: it takes no lock and waits for another run's commit."""
    arguments = {"timeout": COMMIT_SECONDS} if is_sqlite(url) else {}
    engine = create_engine(url, poolclass=NullPool, connect_args=arguments)
    with engine.connect() as connection:
        yield connection


@contextmanager
def expected_warnings() -> Iterator[None]:
    """Silence what SQLAlchemy says of schemas that are in order, and that migrator takes care of.

    SQLAlchemy does not read indexes of SQLite on expressions, and cannot sort tables that refer to
    each other.
    """
    with warnings.catch_warnings():
        for text in ("Skipped unsupported reflection", "Can(not|'t) .*sort tables"):
            warnings.filterwarnings("ignore", text, SAWarning)
        yield
