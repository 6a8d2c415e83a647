from pathlib import Path

import pytest
from alembic.config import Config
from testdb import Isolation, replace_settings

ROOT = Path(__file__).parents[2]
real = replace_settings(ROOT / ".env")

from fastapi.testclient import TestClient  # noqa: E402
from shop.database import get_session  # noqa: E402
from shop.main import app  # noqa: E402
from sqlalchemy.orm import sessionmaker  # noqa: E402
from sqlmodel import Session, create_engine  # noqa: E402

isolation = Isolation(
    alembic=Config(ROOT / "alembic.ini"),
    protected=real,
    engine=create_engine,
    sessions=lambda engine: sessionmaker(engine, class_=Session),
)


def pytest_testdb_isolation():
    return isolation


@pytest.fixture
def client(db_session):
    def get_test_session():
        with isolation.session_maker() as session:
            yield session

    app.dependency_overrides[get_session] = get_test_session
    yield TestClient(app)
    app.dependency_overrides.clear()
