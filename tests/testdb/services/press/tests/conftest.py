from pathlib import Path

import pytest
from alembic.config import Config
from testdb import Isolation, replace_settings

ROOT = Path(__file__).parents[1]
real = replace_settings(ROOT / ".env")

from press import make_sessions  # noqa: E402
from sqlalchemy.ext.asyncio import create_async_engine  # noqa: E402

isolation = Isolation(
    alembic=Config(ROOT / "alembic.ini"),
    protected=real,
    engine=create_async_engine,
    sessions=make_sessions,
)


def pytest_testdb_isolation():
    return isolation


def pytest_addoption(parser):
    parser.addoption("--database", default="of its own")


@pytest.fixture
def db_session():
    return "a session from before"
