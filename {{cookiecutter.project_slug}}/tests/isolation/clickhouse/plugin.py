"""The fixtures: a clean, migrated ClickHouse database for every test that asks for one."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from functools import partial

import pytest
from clickhouse_connect.driver.client import Client
from sqlalchemy.ext.asyncio import AsyncSession

from tests.isolation.clickhouse import guard
from tests.isolation.clickhouse.config import Clickhouse
from tests.isolation.clickhouse.database import ClickhouseDatabase, make_migrated
from tests.isolation.clickhouse.environment import (
    ClickhouseEnvironment,
    FullStack,
    FullStackEnvironment,
    identify,
    open_clickhouse,
)
from tests.isolation.clickhouse.server import ClickhouseServer, clickhouse_for_tests
from tests.isolation.config import Isolation
from tests.isolation.earlier import close_earlier_connections
from tests.isolation.environment import Environment
from tests.isolation.plugin import announce, asked_to_keep
from tests.isolation.report import VerdictError, timed
from tests.isolation.server import PREFIX
from tests.isolation.startup import isolation_key

OpenClickhouse = Callable[..., AbstractContextManager[tuple[Client, ClickhouseEnvironment]]]


class LeftBehindError(VerdictError):
    """A test left something behind in ClickHouse that is not in its database."""


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Guard the protected ClickHouse, behind `tests/conftest.py`, which says what that is."""
    if (told := config.stash[isolation_key].clickhouse) is not None:
        guard.protect(told.protected)
        close_earlier_connections()


@pytest.fixture(scope="session")
def clickhouse_isolation(isolation: Isolation) -> Clickhouse:
    """What `tests/conftest.py` told about the service's ClickHouse."""
    assert isolation.clickhouse is not None, "give Isolation what there is to know of ClickHouse"
    return isolation.clickhouse


@pytest.fixture(scope="session")
def clickhouse_server(testrun_uid: str, worker_id: str) -> Iterator[ClickhouseServer]:
    """The ClickHouse on which tests make databases."""
    with clickhouse_for_tests(testrun_uid, worker_id) as server:
        yield server


@pytest.fixture(scope="session")
def clickhouse_template(
    clickhouse_server: ClickhouseServer,
    clickhouse_isolation: Clickhouse,
    worker_id: str,
) -> Iterator[str]:
    """The name of the migrated database that others are copied from."""
    name = f"{PREFIX}{clickhouse_server.run}_{worker_id}_first"
    make_migrated(clickhouse_server, clickhouse_isolation.alembic, name)
    yield name
    clickhouse_server.drop(name)


@pytest.fixture(scope="session")
def clickhouse_isolated(
    clickhouse_server: ClickhouseServer,
    clickhouse_template: str,
    worker_id: str,
) -> Iterator[ClickhouseDatabase]:
    """The database of this worker for tests that have it to themselves, one after another."""
    name = f"{PREFIX}{clickhouse_server.run}_{worker_id}"
    with timed("clickhouse creation"):
        database = ClickhouseDatabase(clickhouse_server, name, clickhouse_template)
    with closing(database):
        yield database


@pytest.fixture
def isolated_clickhouse(
    request: pytest.FixtureRequest,
    clickhouse_isolation: Clickhouse,
    clickhouse_isolated: ClickhouseDatabase,
) -> Iterator[tuple[Client, ClickhouseEnvironment]]:
    """A migrated ClickHouse database of the test's own: client and config.

    The client is new for every test, and so are its settings and its temporary tables.
    """
    database = clickhouse_isolated
    with timed("clickhouse client"):
        client = database.server.connect(database.name)
    test_id = identify(request.node.name)
    yield client, ClickhouseEnvironment(test_id, database, client, clickhouse_isolation)
    try:
        if asked_to_keep(request):
            announce(request, database.keep())
    finally:
        left = database.server.left_behind(database.name)
        client.close()
        database.forget_snapshots()
        database.reset()
    if left:
        raise LeftBehindError(f"the test left behind in ClickHouse: {', '.join(left)}")


@pytest.fixture
def with_isolated_clickhouse(
    clickhouse_isolation: Clickhouse,
    clickhouse_server: ClickhouseServer,
    clickhouse_template: str,
) -> OpenClickhouse:
    """Opens ClickHouse databases: `with_isolated_clickhouse(name, tables)`."""
    return partial(open_clickhouse, clickhouse_server, clickhouse_isolation, clickhouse_template)


@pytest.fixture
def isolated_full_stack(
    isolated_postgres: tuple[AsyncSession, Environment],
    isolated_clickhouse: tuple[Client, ClickhouseEnvironment],
) -> FullStack:
    """A PostgreSQL and a ClickHouse database of the test's own, with one config for both."""
    session, postgres = isolated_postgres
    client, clickhouse = isolated_clickhouse
    return {
        "postgres_session": session,
        "clickhouse_client": client,
        "clickhouse_database": clickhouse.database.name,
        "config": FullStackEnvironment(postgres.test_id, postgres, clickhouse),
    }
