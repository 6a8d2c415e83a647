"""One engine per process, with the settings each database needs to behave."""

from contextlib import suppress
from sqlite3 import OperationalError
from typing import Any

from migrator.engine import with_limits
from sqlalchemy import URL, ExceptionContext, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from placeholder_service.settings import Settings

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}

# The execution option of a transaction that only reads, and so waits for no writer.
READ_ONLY = "read_only"

# How long a SQLite connection waits for another writer, in milliseconds.
SQLITE_BUSY_TIMEOUT_MS = 5000


def make_engine(settings: Settings) -> AsyncEngine:
    """Return an engine for the configured database. Nothing connects until it is used."""
    url = settings.url
    backend = url.get_backend_name()
    url = url.set(drivername=DRIVERS[backend])
    # As many connections as requests that api.admission lets in, and two for what is not in them.
    pool = {"pool_size": settings.database_pool_size, "max_overflow": 2}
    if backend == "sqlite":
        in_memory = url.database in (None, "", ":memory:")
        return make_sqlite_engine(url, {} if in_memory else pool)
    return create_async_engine(
        with_limits(url.update_query_dict({"connect_timeout": "5", **url.query})),
        pool_pre_ping=True,
        hide_parameters=True,
        # Behind a connection pooler, a statement may not find what an earlier one has prepared.
        connect_args={"prepare_threshold": None},
        **pool,
    )


def make_sqlite_engine(url: URL, pool: dict[str, Any]) -> AsyncEngine:
    """Return an engine whose SQLite connections enforce foreign keys and wait their turn."""
    engine = create_async_engine(url, hide_parameters=True, **pool)

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _: object) -> None:
        # The driver must not open transactions by itself: it begins too late for savepoints and
        # for reads (https://docs.sqlalchemy.org/en/21/dialects/sqlite.html).
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        # This fails at once, without waiting, while another connection writes. A later one does it.
        with suppress(OperationalError):
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        # A transaction that reads first and writes later would fail at once with "database is
        # locked" if another wrote in between. Taking the write lock at the start, it waits.
        read_only = connection.get_execution_options().get(READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    @event.listens_for(engine.sync_engine, "handle_error")
    def roll_back(error: ExceptionContext) -> None:
        # A COMMIT that fails leaves the transaction open, and SQLAlchemy takes it for ended: the
        # connection would keep the database locked, back in the pool.
        if error.connection is not None and error.statement is None:
            error.connection.connection.rollback()

    return engine
