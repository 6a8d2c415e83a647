"""The fixtures. They are written once, for synchronous services, and wrapped for asynchronous ones.

All asynchronous ones run in one event loop, that of the whole run: a connection never meets another
loop than its own.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import URL
from sqlalchemy.orm import Session

from .database import IsolatedDatabase, OpenDatabase, OpenSnapshot
from .run import Run, restored, run_key
from .session import SharedTransaction, close


def _testdb(pytestconfig: pytest.Config) -> Iterator[Run]:
    """What the hooks and fixtures of this process share."""
    yield pytestconfig.stash[run_key]


def _shared(_testdb: Run) -> Iterator[SharedTransaction]:
    """What `db_session` of this process works in."""
    with _testdb.backend.shared(_testdb.options.database_file) as database:
        engine = _testdb.isolation.make_engine(database.url)
        shared = SharedTransaction(database, engine, _testdb.isolation.session_maker)
        yield shared
        shared.sync_engine.dispose()


def _isolated(_testdb: Run) -> Iterator[IsolatedDatabase]:
    """The database of this process for tests that have it to themselves, one after another."""
    with _testdb.backend.isolated() as storage:
        database = IsolatedDatabase(storage, _testdb.isolation, _testdb.report)
        yield database
        database.close()


def db_session(
    request: pytest.FixtureRequest, _testdb: Run, _shared: SharedTransaction
) -> Iterator[Session]:
    """A session on the migrated schema, clean for every test.

    Commit and roll back as you like: the app under test works in the same transaction, and all
    of it is undone.
    """
    is_kept = partial(_testdb.is_kept, request.node)
    in_file = _testdb.options.database_file is not None
    with _testdb.report.timed(f"{_shared.database.kind} db_session"):
        _shared.clean()
    try:
        with _shared.session(lambda: in_file or is_kept()) as session:
            yield session
    finally:
        if is_kept():
            _testdb.announce(request.node, _shared.database.keep())


def isolated_database(
    request: pytest.FixtureRequest, _testdb: Run, _isolated: IsolatedDatabase
) -> Iterator[IsolatedDatabase]:
    """A migrated database of the test's own.

    For what `db_session` cannot do: real commits, several connections, threads, processes, schema
    changes, snapshots.
    """
    yield _isolated
    try:
        if _testdb.is_kept(request.node):
            _testdb.announce(request.node, _isolated.storage.keep())
    finally:
        _isolated.renew()


def with_database_snapshots(
    _isolated: IsolatedDatabase,
    isolated_database: object,  # noqa: ARG001  # it puts the database back
) -> Iterator[OpenSnapshot]:
    """Restores the state of `isolated_database` at the end of a block."""
    yield partial(restored, _isolated)


def with_isolated_postgres(_testdb: Run) -> Iterator[OpenDatabase]:
    """Opens PostgreSQL databases: `with_isolated_postgres(name, schema, scenario)`."""
    yield _testdb.postgresql.requested


def isolated_postgres(
    request: pytest.FixtureRequest, _testdb: Run
) -> Iterator[tuple[Session, IsolatedDatabase]]:
    """A PostgreSQL database of the test's own, whatever `--database` says: session and database."""
    with _testdb.postgresql.requested(request.node.name) as (session, database):
        yield session, database
        if _testdb.is_kept(request.node):
            close(session)
            _testdb.announce(request.node, database.storage.keep())


def performance_test_config(_testdb: Run) -> Iterator[IsolatedDatabase]:
    """A PostgreSQL database with the `performance` scenario."""
    opened = _testdb.postgresql.requested("performance", scenario="performance")
    with opened as (_, database):
        yield database


def postgresql_database(_testdb: Run) -> Iterator[URL]:
    """The URL of a new, empty PostgreSQL database."""
    server = _testdb.postgresql.server
    name = server.new_name()
    yield server.create(name)
    server.drop(name)


FIXTURES: tuple[Callable[..., Iterator[Any]], ...] = (
    _testdb,
    _shared,
    _isolated,
    db_session,
    isolated_database,
    with_database_snapshots,
    with_isolated_postgres,
    isolated_postgres,
    performance_test_config,
    postgresql_database,
)


def make_fixtures(*, is_async: bool) -> ModuleType:
    """Return a plugin with the fixtures in the style of the service."""
    plugin = ModuleType("testdb_fixtures")
    vars(plugin).update({it.__name__: make_fixture(it, is_async=is_async) for it in FIXTURES})
    return plugin


def make_fixture(function: Callable[..., Iterator[Any]], *, is_async: bool) -> Any:
    """Return a generator function as a fixture; those of the whole process have an underscore."""
    is_shared = function.__name__.startswith("_")
    scope: Any = "session" if is_shared else "function"
    # A URL is the same in both styles.
    if not is_async or function is postgresql_database:
        return pytest.fixture(scope=scope)(function)
    import pytest_asyncio

    from .asyncio import as_async, entered

    async def fixture(**arguments: Any) -> Any:
        async with entered(contextmanager(function)(**arguments)) as value:
            yield value if is_shared else as_async(value)

    vars(fixture)["__signature__"] = inspect.signature(function)
    fixture.__name__, fixture.__doc__ = function.__name__, function.__doc__
    return pytest_asyncio.fixture(scope=scope, loop_scope="session")(fixture)
