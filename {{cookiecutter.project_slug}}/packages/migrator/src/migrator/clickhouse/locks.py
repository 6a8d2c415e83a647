"""The lock that makes runs on a ClickHouse server take turns; ClickHouse has none itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError

from migrator.database import Database
from migrator.engine import is_sqlite, make_sqlite_migration_engine
from migrator.errors import LockTimeoutError
from migrator.locks import one_run_at_a_time


@contextmanager
def take_turns(database: Database, suffix: str = "") -> Iterator[None]:
    """Hold a lock of another database, without stopping its writers.

    On PostgreSQL it is the lock of its migrations. SQLite can only lock a file, so a file beside
    the database takes its place. With a suffix, it is a lock of its own.

    Raises:
        LockTimeoutError: Another run did not end in time.
    """
    url, wait_seconds = database.url, database.wait_seconds
    if not is_sqlite(url):
        with one_run_at_a_time(url, f"{database.name}{suffix}", wait_seconds):
            yield
        return
    beside = url.set(database=f"{url.database}.clickhouse-lock{suffix}")
    with make_sqlite_migration_engine(beside, wait_seconds).connect() as connection:
        try:
            connection.begin()
        except OperationalError as error:
            raise LockTimeoutError(f"another run did not end in {wait_seconds:g} s") from error
        yield
