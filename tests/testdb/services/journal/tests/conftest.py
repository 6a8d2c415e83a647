from pathlib import Path

import pytest
from alembic.config import Config
from testdb import Isolation, replace_settings

ROOT = Path(__file__).parents[1]
real = replace_settings(ROOT / ".env")

from fastapi.testclient import TestClient  # noqa: E402
from journal import create_app  # noqa: E402
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine  # noqa: E402

isolation = Isolation(
    alembic=Config(ROOT / "alembic.ini"),
    protected=real,
    engine=create_async_engine,
    sessions=async_sessionmaker,
)


def pytest_testdb_isolation():
    return isolation


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"


@pytest.fixture
def client(db_session):
    app = create_app()
    app.state.sessions = isolation.session_maker
    return TestClient(app)


@pytest.fixture
def client_with_commits(isolated_database):
    app = create_app()
    app.state.sessions = isolated_database.session
    return TestClient(app)
