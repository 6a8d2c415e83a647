"""The engine migrations run on: always synchronous, and strict about transactions.

`migrations/env.py` uses it. The service's own engine would do neither: it enforces foreign keys
while tables are rebuilt, and waits for locks as long as it takes.
"""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, text

# The first with the operator ->>, which constraints of the schema use.
OLDEST_SQLITE = (3, 38)


def make_migration_engine(url: URL, lock_timeout_ms: int) -> Engine:
    """Return an engine for one migration run on the database at `url`.

    `lock_timeout_ms` bounds the wait for each lock. Queries that wait behind a migration's lock
    wait at most as long.
    """
    if url.get_backend_name() == "sqlite":
        return make_sqlite_migration_engine(url, lock_timeout_ms)
    # As a start-up option: a SET on the connection would open a transaction before Alembic
    # does, and Alembic would then leave the commit to whoever opened it.
    options = f"-c lock_timeout={lock_timeout_ms}"
    return create_engine(url, poolclass=NullPool, connect_args={"options": options})


def make_sqlite_migration_engine(url: URL, lock_timeout_ms: int) -> Engine:
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
    timeout = lock_timeout_ms / 1000
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": timeout})

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
        raise RuntimeError(
            f"{len(orphans)} rows refer to missing ones ({', '.join(pairs)}); nothing was changed"
        )
