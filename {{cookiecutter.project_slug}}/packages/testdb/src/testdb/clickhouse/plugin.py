"""The fixtures: a clean, migrated ClickHouse database for every test that asks for one."""

import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from ..database import IsolatedDatabase
from ..run import Run
from ..signature import PREFIX, identify
from ..verdicts import VerdictError
from .config import Clickhouse
from .database import ClickhouseDatabase, make_migrated
from .environment import (
    ClickhouseEnvironment,
    FullStackEnvironment,
    OpenClickhouse,
    open_clickhouse,
)
from .server import ClickhouseServer, clickhouse_for_tests


class LeftBehindError(VerdictError):
    """A test left something behind in ClickHouse that is not in its database."""


@pytest.fixture(scope="session")
def _clickhouse(_testdb: Run) -> Clickhouse:
    """What the service says about its ClickHouse."""
    clickhouse = _testdb.isolation.clickhouse
    assert isinstance(clickhouse, Clickhouse)
    return clickhouse


@pytest.fixture(scope="session")
def _clickhouse_server(_testdb: Run) -> Iterator[ClickhouseServer]:
    """The ClickHouse on which tests make databases."""
    with clickhouse_for_tests(_testdb.id, _testdb.worker) as server:
        yield server


@pytest.fixture(scope="session")
def _clickhouse_template(
    _testdb: Run, _clickhouse: Clickhouse, _clickhouse_server: ClickhouseServer
) -> Iterator[str]:
    """The name of the migrated database that others are copied from."""
    name = f"{PREFIX}{_testdb.id}_{_testdb.worker}_first"
    with _testdb.report.timed("clickhouse template built"):
        make_migrated(_clickhouse_server, _clickhouse.alembic, name)
    yield name
    _clickhouse_server.drop(name)


@pytest.fixture(scope="session")
def _clickhouse_database(
    _testdb: Run, _clickhouse_server: ClickhouseServer, _clickhouse_template: str
) -> Iterator[ClickhouseDatabase]:
    """The database of this process for tests that have it to themselves, one after another."""
    name = f"{PREFIX}{_testdb.id}_{_testdb.worker}"
    with _testdb.report.timed("clickhouse creation"):
        database = ClickhouseDatabase(_clickhouse_server, name, _clickhouse_template)
    with closing(database):
        yield database


@pytest.fixture
def isolated_clickhouse(
    request: pytest.FixtureRequest,
    _testdb: Run,
    _clickhouse: Clickhouse,
    _clickhouse_database: ClickhouseDatabase,
) -> Iterator[tuple[Client, ClickhouseEnvironment]]:
    """A migrated ClickHouse database of the test's own: client and config.

    The client is new for every test, and so are its settings and its temporary tables.
    """
    database, report = _clickhouse_database, _testdb.report
    with report.timed("clickhouse client"):
        client = database.server.connect(database.name)
    test_id = identify(request.node.name)
    yield client, ClickhouseEnvironment(test_id, database, client, _clickhouse, report)
    try:
        if _testdb.is_kept(request.node):
            _testdb.announce(request.node, database.keep())
    finally:
        left = database.server.left_behind(database.name)
        client.close()
        database.forget_snapshots()
        started = time.perf_counter()
        report.add(f"clickhouse reset ({database.reset()})", started)
    if left:
        raise LeftBehindError(f"the test left behind in ClickHouse: {', '.join(left)}")


@pytest.fixture
def with_isolated_clickhouse(
    _testdb: Run,
    _clickhouse: Clickhouse,
    _clickhouse_server: ClickhouseServer,
    _clickhouse_template: str,
) -> OpenClickhouse:
    """Opens ClickHouse databases: `with_isolated_clickhouse(name, tables)`."""
    return partial(
        open_clickhouse, _clickhouse_server, _clickhouse, _testdb.report, _clickhouse_template
    )


@pytest.fixture
def isolated_full_stack(
    _testdb: Run,
    isolated_postgres: tuple[Any, Any],
    isolated_clickhouse: tuple[Client, ClickhouseEnvironment],
) -> dict[str, Any]:
    """A PostgreSQL and a ClickHouse database of the test's own, with one config for both."""
    session, postgres = isolated_postgres
    client, clickhouse = isolated_clickhouse
    database: IsolatedDatabase = getattr(postgres, "synchronous", postgres)
    config: Any = FullStackEnvironment(postgres.test_id, database, clickhouse)
    if _testdb.isolation.is_async:
        from .asyncio import AsyncFullStackEnvironment

        config = AsyncFullStackEnvironment(config)
    return {
        "postgres_session": session,
        "clickhouse_client": client,
        "clickhouse_database": clickhouse.database.name,
        "config": config,
    }
