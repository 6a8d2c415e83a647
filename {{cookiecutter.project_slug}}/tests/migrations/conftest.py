"""For the tests of the migrations: empty databases of each kind, and a copy of the revisions."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine

from {{cookiecutter.package_name}}.db import migrate, migration_engine
from {{cookiecutter.package_name}}.settings import PROJECT_ROOT


@pytest.fixture
def sqlite_database(tmp_path: Path) -> URL:
    """The URL of a new SQLite file."""
    return URL.create("sqlite", database=str(tmp_path / "scratch.db"))


@pytest.fixture(
    params=["sqlite_database", pytest.param("postgresql_database", marks=pytest.mark.slow)]
)
def scratch_url(request: pytest.FixtureRequest) -> URL:
    """The URL of an empty database, of each kind in turn."""
    url: URL = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def scratch_engine(scratch_url: URL) -> Iterator[Engine]:
    """The engine that migrations run on, on an empty database."""
    make_engine = migration_engine.make_migration_engine  # noqa: TID251  # never on the service's
    engine = make_engine(scratch_url, lock_timeout_ms=2000)
    yield engine
    engine.dispose()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations, to write revisions into."""
    shutil.copy(PROJECT_ROOT / "alembic.ini", tmp_path)
    shutil.copytree(PROJECT_ROOT / "migrations", tmp_path / "migrations")
    monkeypatch.setattr(migrate, "PROJECT_ROOT", tmp_path)
    return tmp_path
