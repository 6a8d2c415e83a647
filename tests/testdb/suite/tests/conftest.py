"""Hands the sample service to testdb, as the conftest.py of any service does."""

import os
from pathlib import Path

import pytest
from service.database import ServiceSession, make_engine, make_session_maker
from service.models import Base
from service.scenarios import load
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import async_sessionmaker
from testdb import Isolation
from testdb.config import Extension
from testdb.run import Run, run_key

ROOT = Path(__file__).parents[1]
DEVELOPMENT = f"sqlite:///{ROOT / 'development.db'}"

# An address for documentation: nothing is ever reached there.
REMOTE = "postgresql+psycopg://me@192.0.2.1:2/real"

# For everything that reads the service's settings, in processes as well.
os.environ["DATABASE_URL"] = "sqlite://"


def prepare(connection: Connection) -> None:
    """Add a row that every test starts with."""
    connection.execute(text("INSERT INTO log (action) VALUES ('prepared')"))


def clickhouse() -> Extension | None:
    """Return what there is to know of ClickHouse, for the modules that are about it."""
    if "WITH_CLICKHOUSE" not in os.environ:
        return None
    from service.events import describe_clickhouse

    return describe_clickhouse()


isolation = Isolation(
    alembic=ROOT / "alembic.ini",
    protected=[DEVELOPMENT, REMOTE],
    engine=make_engine,
    sessions=make_session_maker,
    database_free=[ROOT / "tests" / "unit"],
    prepare=prepare if "PREPARED" in os.environ else None,
    metadata=Base.metadata,
    schemas={"basic": ["users"], "work": ["comments"], "everything": ["comments", "log"]},
    seed=load,
    clickhouse=clickhouse(),
)
test_session_maker = isolation.session_maker


def pytest_testdb_isolation() -> Isolation[async_sessionmaker[ServiceSession]]:
    """Hand the isolation to testdb."""
    return isolation


@pytest.fixture
def own_run(pytestconfig: pytest.Config) -> Run:
    """What testdb has in this process, for tests that look inside."""
    return pytestconfig.stash[run_key]
