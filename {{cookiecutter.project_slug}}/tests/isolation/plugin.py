"""The fixtures: a clean, migrated database for every test that asks for one."""

import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from tests.isolation.config import Isolation
from tests.isolation.database import IsolatedDatabase, Storage, make_shared_engine
from tests.isolation.difference import describe
from tests.isolation.engine import make_memory_engine
from tests.isolation.environment import Environment, open_environment
from tests.isolation.postgresql import PostgresqlDatabase, migrated_template
from tests.isolation.report import VerdictError, timed
from tests.isolation.server import PREFIX, Server, memory_folder, server_for_tests
from tests.isolation.session import VanishedTransactionError, session_on, test_session_maker
from tests.isolation.sqlite import MemoryDatabase
from tests.isolation.sqlite_file import SqliteFile
from tests.isolation.startup import cache_folder, isolation_key
from tests.isolation.template import load_template

OpenEnvironment = Callable[..., AbstractAsyncContextManager[tuple[AsyncSession, Environment]]]
OpenSnapshot = Callable[[str], AbstractAsyncContextManager[IsolatedDatabase]]

failed_key = pytest.StashKey[bool]()


@dataclass
class Shared:
    """What `db_session` of this process runs on.

    Attributes:
        database: The database.
        engine: What connects to it.
        is_clean: Whether all that the last test did is known to be undone.
    """

    database: MemoryDatabase | PostgresqlDatabase
    engine: AsyncEngine
    is_clean: bool = False


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
        help="keep the databases of these tests, and say how to open them",
    )
    group.addoption(
        "--database-file",
        type=Path,
        metavar="FILE",
        help="run db_session on this SQLite file, to look at what the last test left in it",
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
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note which tests failed, for those whose database is to be kept, and which got a verdict."""
    report = yield
    item.stash[failed_key] = item.stash.get(failed_key, False) or report.failed
    if call.excinfo is not None and isinstance(call.excinfo.value, VerdictError):
        report.user_properties.append(("isolation verdict", str(call.excinfo.value)))
    return report


@pytest.fixture(scope="session")
def isolation(pytestconfig: pytest.Config) -> Isolation:
    """What `tests/conftest.py` told about the service."""
    return pytestconfig.stash[isolation_key]


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


def copy_of_template(request: pytest.FixtureRequest) -> closing[PostgresqlDatabase]:
    """Return a migrated PostgreSQL database for this worker."""
    server: Server = request.getfixturevalue("postgresql_server")
    template: str = request.getfixturevalue("postgresql_template")
    return closing(PostgresqlDatabase(server, server.new_name(), template))


@pytest.fixture(scope="session")
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[Shared]:
    """What `db_session` of this worker runs on."""
    if request.config.option.database == "postgresql":
        with copy_of_template(request) as database:
            engine = make_shared_engine(database.url)
            yield Shared(database, engine)
            await engine.dispose()
        return
    image = request.getfixturevalue("database_image")
    with closing(MemoryDatabase(image, request.config.option.database_file)) as memory:
        engine = make_memory_engine(memory.raw)
        yield Shared(memory, engine)
        await engine.dispose()


@pytest.fixture
async def db_session(request: pytest.FixtureRequest, shared: Shared) -> AsyncIterator[AsyncSession]:
    """A session on the migrated schema, clean for every test.

    Commit and roll back as you like: the app under test works in the same transaction, and all
    of it is undone.
    """
    database, is_kept = shared.database, partial(asked_to_keep, request)
    with timed(f"{database.kind} db_session"):
        if not shared.is_clean:
            database.clean()
    in_file = request.config.option.database_file is not None
    shared.is_clean = False
    try:
        async with session_on(
            shared.engine,
            database.raw,
            is_committed=lambda: in_file or is_kept(),
        ) as session:
            yield session
        shared.is_clean = not in_file and not is_kept()
    except VanishedTransactionError as verdict:
        left_over = describe(database.left_over())
        raise VanishedTransactionError(f"{verdict}. Rows left behind: {left_over}") from None
    finally:
        if is_kept():
            announce(request, database.keep())
        if not shared.is_clean and isinstance(database, PostgresqlDatabase):
            await shared.engine.dispose()
            database.reset()


def asked_to_keep(request: pytest.FixtureRequest) -> bool:
    """Tell whether the test's database is to be kept."""
    choice = request.config.option.keep_database
    return bool(choice == "always" or (choice == "failed" and request.node.stash[failed_key]))


def announce(request: pytest.FixtureRequest, command: str) -> None:
    """Say in the test's report how to open the database that was kept."""
    request.node.add_report_section("teardown", "kept database", command)


@pytest.fixture(scope="session")
async def isolated(
    request: pytest.FixtureRequest,
    isolation: Isolation,
) -> AsyncIterator[IsolatedDatabase]:
    """The database of this worker for tests that have it to themselves, one after another."""
    with ExitStack() as stack:
        if request.config.option.database == "postgresql":
            storage: Storage = stack.enter_context(copy_of_template(request))
        else:
            image = request.getfixturevalue("database_image")
            folder = tempfile.TemporaryDirectory(dir=memory_folder(), prefix="test-")
            storage = SqliteFile(Path(stack.enter_context(folder)), image)
            stack.callback(storage.close)
        database = IsolatedDatabase(storage, isolation)
        yield database
        await database.close()


@pytest.fixture
async def isolated_database(
    request: pytest.FixtureRequest,
    isolated: IsolatedDatabase,
) -> AsyncIterator[IsolatedDatabase]:
    """A migrated database of the test's own.

    For what `db_session` cannot do: real commits, several connections, threads, processes, schema
    changes, snapshots.
    """
    yield isolated
    try:
        if asked_to_keep(request):
            announce(request, isolated.storage.keep())
    finally:
        await isolated.renew()


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
    return partial(open_environment, postgresql_server, isolation)


@pytest.fixture
async def isolated_postgres(
    request: pytest.FixtureRequest,
    with_isolated_postgres: OpenEnvironment,
) -> AsyncIterator[tuple[AsyncSession, Environment]]:
    """A PostgreSQL database of the test's own, whatever `--database` says: session and config."""
    async with with_isolated_postgres(request.node.name) as (session, config):
        yield session, config
        if asked_to_keep(request):
            await session.close()
            announce(request, config.storage.keep())


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
