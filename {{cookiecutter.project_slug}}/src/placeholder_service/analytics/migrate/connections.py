"""The connection of a run, and the lock that makes runs take turns."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext

from sqlalchemy import URL, Connection
from sqlalchemy.exc import OperationalError

from placeholder_service.analytics.client import (
    NotMigratedError,
    make_engine,
    open_client,
)
from placeholder_service.db.migrate.engine import (
    make_sqlite_migration_engine,
    one_run_at_a_time,
)
from placeholder_service.db.migrate.errors import LockTimeoutError
from placeholder_service.settings import Settings


@contextmanager
def connecting(url: URL) -> Iterator[Connection]:
    """Give a connection for looking only: it takes no lock.

    Raises:
        UnreachableError: Nobody answers, or another process has the embedded one's folder.
        NotMigratedError: The server does not have the database.
    """
    with make_engine(url).connect() as connection:
        yield connection


def keeping(url: URL) -> AbstractContextManager[object]:
    """Keep chdb's folder from other processes meanwhile. A server serves many."""
    return closing(open_client(url)) if url.drivername == "chdb" else nullcontext()


@contextmanager
def only_run() -> Iterator[Connection]:
    """Give a connection to the configured ClickHouse, and let no other run work meanwhile.

    chdb's folder serves one process. A server has no lock to offer; the transactional database
    lends one.

    Raises:
        LockTimeoutError: Another run did not end in time.
        UnreachableError: ClickHouse cannot be reached.
    """
    settings = Settings()
    url, wait = settings.clickhouse, settings.migration_wait_seconds
    taking_turns = nullcontext() if url.drivername == "chdb" else lock(settings.url, wait)
    with taking_turns, open_or_create(url) as connection:
        yield connection


def open_or_create(url: URL) -> Connection:
    """Return a connection to the database, which is created if the server does not have it."""
    engine = make_engine(url)
    try:
        return engine.connect()
    except NotMigratedError:
        with closing(open_client(url.set(database="default"))) as client:
            name = {"name": url.database}
            client.command("CREATE DATABASE IF NOT EXISTS {name:Identifier}", name)
        return engine.connect()


@contextmanager
def lock(url: URL, wait_seconds: float) -> Iterator[None]:
    """Hold the lock of the transactional database at `url`, without stopping its writers.

    Raises:
        LockTimeoutError: Another run did not end in time.
    """
    if url.get_backend_name() != "sqlite":
        with one_run_at_a_time(url, wait_seconds):
            yield
        return
    # SQLite's lock is a file's. That of the database itself would keep the service from writing.
    beside = url.set(database=f"{url.database}.clickhouse-lock")
    with make_sqlite_migration_engine(beside, wait_seconds).connect() as connection:
        try:
            connection.begin()
        except OperationalError as error:
            raise LockTimeoutError(f"another run did not end in {wait_seconds:g} s") from error
        yield
