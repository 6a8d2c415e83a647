"""The fixtures. They are written once, for synchronous services, and wrapped for asynchronous ones.

All asynchronous ones run in one event loop, that of the whole run: a connection never meets another
loop than its own.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib.metadata import version
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import URL
from sqlalchemy.orm import Session

from . import queries
from .database import IsolatedDatabase, OpenDatabase, OpenSnapshot
from .queries import Query
from .run import Run, restored, run_key
from .session import SharedTransaction, close
from .verdicts import VerdictError


def _testdb(pytestconfig: pytest.Config) -> Iterator[Run]:
    """What the hooks and fixtures of this process share."""
    yield pytestconfig.stash[run_key]


def _shared(_testdb: Run) -> Iterator[SharedTransaction]:
    """What `db_session` of this process works in."""
    with _testdb.backend.shared(_testdb.options.testdb_database_file) as database:
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
    in_file = _testdb.options.testdb_database_file is not None
    with _testdb.report.timed(f"{_shared.database.kind} db_session"):
        _shared.clean()
    try:
        with (
            not_interrupted(request.session),
            _shared.session(lambda: in_file or is_kept()) as session,
        ):
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
    _isolated.require_renewed()
    with _isolated.lent_to(request.node.nodeid) as database:
        yield database
    try:
        if _testdb.is_kept(request.node):
            _testdb.announce(request.node, _isolated.storage.keep())
    finally:
        with not_interrupted(request.session):
            _isolated.renew()


def with_database_snapshots(isolated_database: Any) -> Iterator[OpenSnapshot]:
    """Restores the state of `isolated_database` at the end of a block."""
    yield partial(restored, getattr(isolated_database, "synchronous", isolated_database))


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


def max_queries() -> Iterator[Callable[[int], AbstractContextManager[list[Query]]]]:
    """Fails a block that sends too many statements: see `testdb.max_queries`."""
    yield queries.max_queries


def postgresql_database(_testdb: Run) -> Iterator[URL]:
    """The URL of a new, empty PostgreSQL database."""
    server = _testdb.postgresql.server
    name = server.new_name()
    yield server.create(name)
    server.drop(name)


@contextmanager
def not_interrupted(session: pytest.Session) -> Iterator[None]:
    """Leave out the verdict on a test that was interrupted, as by Ctrl-C: it is not at fault."""
    try:
        yield
    except VerdictError:
        if session.exitstatus != pytest.ExitCode.INTERRUPTED:
            raise


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
    max_queries,
    postgresql_database,
)

# Nothing in them waits.
SAME_IN_BOTH_STYLES = (max_queries, postgresql_database)

# https://pytest-asyncio.readthedocs.io/en/stable/reference/changelog.html
FIRST_WITH_LOOP_SCOPES = (0, 26)

# For a folder beside older fixtures of these names: see README.md.
SECOND_NAMES: dict[str, Callable[..., Iterator[Any]]] = {
    "testdb_session": db_session,
    "testdb_database": isolated_database,
}


def make_fixtures(config: pytest.Config, *, is_async: bool) -> ModuleType:
    """Return a plugin with the fixtures in the style of the service.

    Raises:
        pytest.UsageError: The service is asynchronous, and no plugin runs asynchronous fixtures in
            one event loop.
    """
    make: Callable[..., Any] = make_fixture
    if is_async and config.pluginmanager.has_plugin("asyncio"):
        require_loop_scopes()
        make = make_asyncio_fixture
    elif is_async and config.pluginmanager.has_plugin("anyio"):
        make = make_anyio_fixture
    elif is_async:
        raise pytest.UsageError(
            "The service's engine is asynchronous, and no plugin of pytest runs asynchronous"
            " fixtures: install pytest-asyncio or anyio"
        )
    plugin = ModuleType("testdb_fixtures")
    named = {function.__name__: function for function in FIXTURES} | SECOND_NAMES
    for name, function in named.items():
        used = make_fixture if function in SAME_IN_BOTH_STYLES else make
        # Those of the whole process have an underscore.
        scope = "session" if name.startswith("_") else "function"
        vars(plugin)[name] = used(function, name=name, scope=scope)
    return plugin


def require_loop_scopes() -> None:
    """Raise `pytest.UsageError` if the installed pytest-asyncio is too old."""
    found = version("pytest-asyncio")
    if tuple(map(int, found.split(".")[:2])) < FIRST_WITH_LOOP_SCOPES:
        raise pytest.UsageError(
            f"pytest-asyncio {found} cannot run fixtures and tests in one event loop, which testdb"
            " needs: install 0.26 or newer"
        )


def make_fixture(function: Callable[..., Iterator[Any]], **options: Any) -> Any:
    """Return a generator function as a fixture."""
    return pytest.fixture(**options)(function)


def make_asyncio_fixture(function: Callable[..., Iterator[Any]], **options: Any) -> Any:
    """Return a generator function as a fixture of pytest-asyncio, in the loop of the whole run."""
    import pytest_asyncio

    fixture: Any = pytest_asyncio.fixture
    return fixture(loop_scope="session", **options)(as_coroutine(function))


def make_anyio_fixture(function: Callable[..., Iterator[Any]], **options: Any) -> Any:
    """Return a generator function as a fixture that anyio runs, because it asks for its backend."""
    return pytest.fixture(**options)(as_coroutine(function, "anyio_backend"))


def as_coroutine(function: Callable[..., Iterator[Any]], *further: str) -> Any:
    """Return an asynchronous generator function that does the same, with arguments to ignore."""
    from sqlalchemy.util import greenlet_spawn

    from .asyncio import as_async

    is_shared = function.__name__.startswith("_")

    async def fixture(**arguments: Any) -> Any:
        for name in further:
            del arguments[name]
        steps = function(**arguments)
        value = await greenlet_spawn(next, steps)
        try:
            yield value if is_shared else as_async(value)
        finally:
            await greenlet_spawn(next, steps, None)

    signature = inspect.signature(function)
    added = (inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in further)
    parameters = [*signature.parameters.values(), *added]
    vars(fixture)["__signature__"] = signature.replace(parameters=parameters)
    fixture.__name__, fixture.__doc__ = function.__name__, function.__doc__
    return fixture
