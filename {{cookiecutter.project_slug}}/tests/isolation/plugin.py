"""The fixtures: a clean, migrated database for every test that asks for one."""

import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from tests.isolation.config import Isolation
from tests.isolation.database import IsolatedDatabase, Storage, make_engine
from tests.isolation.engine import make_memory_engine
from tests.isolation.environment import FULL, Environment, open_environment
from tests.isolation.postgresql import PostgresqlDatabase, migrated_template
from tests.isolation.report import Recorder, recorder_of
from tests.isolation.server import MEMORY, PREFIX, Server, server_for_tests
from tests.isolation.session import VanishedTransactionError, session_on, test_session_maker
from tests.isolation.sqlite import MemoryDatabase
from tests.isolation.sqlite_file import SqliteFile
from tests.isolation.startup import cache_folder, isolation_key
from tests.isolation.template import load_template

OpenEnvironment = Callable[..., AbstractAsyncContextManager[tuple[AsyncSession, Environment]]]
OpenSnapshot = Callable[[str], AbstractAsyncContextManager[IsolatedDatabase]]

failed_key = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the command line choose the database, and ask for more about it."""
    group = parser.getgroup("isolation")
    group.addoption(
        "--database",
        choices=["sqlite", "postgresql"],
        default="sqlite",
        help="what db_session and isolated_database run on (default: %(default)s)",
    )
    group.addoption(
        "--keep-database",
        choices=["never", "failed", "always"],
        default="never",
        help="keep the isolated_database of these tests, and say how to open it",
    )
    group.addoption(
        "--isolation-report",
        nargs="?",
        const="",
        metavar="FILE",
        help="show what the isolation took; with a name, write it there as JSON too",
    )
    group.addoption(
        "--recreate-template",
        action="store_true",
        help="build the migrated templates again, even if their migrations did not change",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(obj: object) -> list[pytest.Item] | None:
    """Keep pytest from taking `test_session_maker` for a test, where a module imports it."""
    return [] if obj is test_session_maker else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note which tests failed, for those whose database is to be kept."""
    report = yield
    item.stash[failed_key] = item.stash.get(failed_key, False) or report.failed
    return report


@pytest.fixture(scope="session")
def isolation(pytestconfig: pytest.Config) -> Isolation:
    """What `tests/conftest.py` told about the service."""
    return pytestconfig.stash[isolation_key]


@pytest.fixture(scope="session")
def recorder(pytestconfig: pytest.Config) -> Recorder:
    """What notes how long things take."""
    return recorder_of(pytestconfig)


@pytest.fixture(scope="session")
def database_image(pytestconfig: pytest.Config, isolation: Isolation) -> bytes:
    """The image of a migrated SQLite database."""
    return load_template(isolation.alembic, cache_folder(pytestconfig))


@pytest.fixture(scope="session")
def postgresql_server(pytestconfig: pytest.Config, testrun_uid: str) -> Iterator[Server]:
    """The PostgreSQL server on which tests make databases."""
    with server_for_tests(pytestconfig.rootpath, testrun_uid) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: Server, isolation: Isolation) -> str:
    """The name of the migrated database that others are copied from."""
    return migrated_template(postgresql_server, isolation.alembic)


@pytest.fixture(scope="session")
def postgresql_shared(
    postgresql_server: Server,
    postgresql_template: str,
    worker_id: str,
) -> Iterator[PostgresqlDatabase]:
    """The database of this worker for tests in a transaction."""
    name = f"{PREFIX}{postgresql_server.run}_{worker_id}"
    with closing(PostgresqlDatabase(postgresql_server, name, postgresql_template)) as database:
        yield database


@pytest.fixture(scope="session")
def postgresql_isolated(
    postgresql_server: Server,
    postgresql_template: str,
    worker_id: str,
) -> Iterator[PostgresqlDatabase]:
    """The database of this worker for tests that have it to themselves, one after another."""
    name = f"{PREFIX}{postgresql_server.run}_{worker_id}_own"
    with closing(PostgresqlDatabase(postgresql_server, name, postgresql_template)) as database:
        yield database


@pytest.fixture(scope="session")
def shared_database(
    request: pytest.FixtureRequest,
) -> Iterator[MemoryDatabase | PostgresqlDatabase]:
    """What `db_session` of this worker runs on."""
    if request.config.option.database == "postgresql":
        yield request.getfixturevalue("postgresql_shared")
        return
    with closing(MemoryDatabase(request.getfixturevalue("database_image"))) as database:
        yield database


@pytest.fixture(scope="session")
async def shared_engine(
    shared_database: MemoryDatabase | PostgresqlDatabase,
) -> AsyncIterator[AsyncEngine]:
    """The engine of `db_session`."""
    if isinstance(shared_database, MemoryDatabase):
        engine = make_memory_engine(shared_database.raw)
    else:
        engine = make_engine(shared_database.url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def db_session(
    shared_database: MemoryDatabase | PostgresqlDatabase,
    shared_engine: AsyncEngine,
    recorder: Recorder,
) -> AsyncIterator[AsyncSession]:
    """A session on the migrated schema, clean for every test.

    Commit and roll back as you like: the app under test works in the same transaction, and all
    of it is undone.
    """
    with recorder.timed(f"{shared_database.kind} db_session"):
        shared_database.clean()
    try:
        async with session_on(shared_engine, shared_database.raw) as session:
            yield session
    except VanishedTransactionError:
        if isinstance(shared_database, PostgresqlDatabase):
            await shared_engine.dispose()
            shared_database.reset()
        raise


@pytest.fixture
def storage(request: pytest.FixtureRequest, recorder: Recorder) -> Iterator[Storage]:
    """What `isolated_database` runs on: a file for each test, or this worker's database."""
    if request.config.option.database == "postgresql":
        yield from postgresql_storage(request, recorder)
    else:
        yield from sqlite_storage(request, recorder)


def postgresql_storage(
    request: pytest.FixtureRequest,
    recorder: Recorder,
) -> Iterator[PostgresqlDatabase]:
    """Give this worker's database, and put it back after the test."""
    storage: PostgresqlDatabase = request.getfixturevalue("postgresql_isolated")
    yield storage
    if is_kept(request):
        name = f"{PREFIX}kept_{uuid4().hex[:8]}"
        announce(request, f"psql {storage.keep(name).render_as_string(hide_password=False)}")
    storage.forget_snapshots()
    recorder.timed_reset(storage)


def sqlite_storage(
    request: pytest.FixtureRequest,
    recorder: Recorder,
) -> Iterator[SqliteFile]:
    """Give a file of the test's own, and remove it after the test."""
    image = request.getfixturevalue("database_image")
    parent = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=parent, prefix="test-") as folder:
        with recorder.timed("sqlite creation"):
            storage = SqliteFile(Path(folder) / "isolated.db", image)
        yield storage
        if is_kept(request):
            path = Path(tempfile.mkdtemp(prefix="kept-")) / "isolated.db"
            storage.keep(path)
            announce(request, f"sqlite3 {path}")


def is_kept(request: pytest.FixtureRequest) -> bool:
    """Tell whether the test's database is to be kept."""
    choice = request.config.option.keep_database
    return bool(choice == "always" or (choice == "failed" and request.node.stash[failed_key]))


def announce(request: pytest.FixtureRequest, command: str) -> None:
    """Say in the test's report how to open the database that was kept."""
    request.node.add_report_section("teardown", "kept database", command)


@pytest.fixture
async def isolated_database(
    storage: Storage,
    isolation: Isolation,
) -> AsyncIterator[IsolatedDatabase]:
    """A migrated database of the test's own.

    For what `db_session` cannot do: real commits, several connections, threads, processes, schema
    changes, snapshots.
    """
    database = IsolatedDatabase(storage, isolation)
    yield database
    await database.close()


@pytest.fixture
def with_database_snapshots(isolated_database: IsolatedDatabase) -> OpenSnapshot:
    """Restores the state of `isolated_database` at the end of a block."""

    @asynccontextmanager
    async def restored_in_the_end(name: str) -> AsyncIterator[IsolatedDatabase]:
        await isolated_database.snapshot(name)
        try:
            yield isolated_database
        finally:
            await isolated_database.restore(name)

    return restored_in_the_end


@pytest.fixture
def with_isolated_postgres(postgresql_server: Server, isolation: Isolation) -> OpenEnvironment:
    """Opens PostgreSQL databases: `with_isolated_postgres(name, schema, scenario)`."""

    def open_named(
        name: str,
        schema: str = FULL,
        scenario: str | None = None,
    ) -> AbstractAsyncContextManager[tuple[AsyncSession, Environment]]:
        return open_environment(postgresql_server, isolation, name, schema, scenario)

    return open_named


@pytest.fixture
async def isolated_postgres(
    request: pytest.FixtureRequest,
    with_isolated_postgres: OpenEnvironment,
) -> AsyncIterator[tuple[AsyncSession, Environment]]:
    """A PostgreSQL database of the test's own, whatever `--database` says: session and config."""
    async with with_isolated_postgres(request.node.name) as session_and_config:
        yield session_and_config


@pytest.fixture
async def performance_test_config(
    with_isolated_postgres: OpenEnvironment,
) -> AsyncIterator[Environment]:
    """A PostgreSQL database with the `performance` scenario."""
    async with with_isolated_postgres("performance", scenario="performance") as (_, config):
        yield config


@pytest.fixture
def postgresql_database(postgresql_server: Server) -> Iterator[URL]:
    """The URL of a new, empty PostgreSQL database."""
    name = f"{PREFIX}{uuid4().hex}"
    yield postgresql_server.create(name)
    postgresql_server.drop(name)
