from pathlib import Path

import pytest
from alembic.config import Config
from testdb import Isolation, replace_settings

ROOT = Path(__file__).parents[1]
real = replace_settings(ROOT / ".env")

from blog import create_app, db  # noqa: E402
from sqlalchemy import create_engine  # noqa: E402

alembic = Config(ROOT / "migrations" / "alembic.ini")
alembic.set_main_option("script_location", str(ROOT / "migrations"))
isolation = Isolation(
    alembic=alembic,
    protected=real,
    engine=create_engine,
    sessions=lambda engine: db.session.session_factory,
)


def pytest_testdb_isolation():
    return isolation


@pytest.fixture
def app(db_session):
    app = create_app()
    with app.app_context():
        yield app
