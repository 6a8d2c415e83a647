from pathlib import Path

import pytest
from alembic.config import Config
from testdb import Isolation, replace_settings

ROOT = Path(__file__).parents[1]
real = replace_settings(ROOT / ".env")

from ledger.container import container, make_engine, make_sessions  # noqa: E402
from sqlalchemy import text  # noqa: E402
from sqlalchemy.orm import Session  # noqa: E402


def add_first_entry(connection):
    with Session(connection) as session:
        session.execute(text("INSERT INTO entries (code) VALUES ('first')"))
        session.commit()


isolation = Isolation(
    alembic=Config(ROOT / "alembic.ini"),
    protected=real,
    database="postgresql",
    engine=make_engine,
    sessions=make_sessions,
    prepare=add_first_entry,
)


def pytest_testdb_isolation():
    return isolation


@pytest.fixture(autouse=True)
def sessions(db_session, monkeypatch):
    monkeypatch.setattr(container, "sessions", isolation.session_maker)
