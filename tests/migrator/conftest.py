"""Databases and projects for the tests of migrator."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import sqlalchemy as sa
from migrator import Exit

from tests.migrator import clickhouse_project
from tests.migrator.clickhouse_project import Embedded
from tests.migrator.postgresql import embedded_server, new_database
from tests.migrator.project import Project

ENGINES = ["sqlite_url", "postgresql_url"]


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[sa.URL]:
    """Return the URL of a server."""
    with embedded_server() as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_server: sa.URL) -> Iterator[sa.URL]:
    """Return the URL of an empty PostgreSQL database."""
    with new_database(postgresql_server) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> sa.URL:
    """Return the URL of a SQLite file that does not exist yet; its path is full of traps."""
    return sa.URL.create("sqlite", database=str(tmp_path / "new folder/50% done.db"))


@pytest.fixture(params=ENGINES)
def empty_database(request: pytest.FixtureRequest) -> sa.URL:
    """Return the URL of an empty database of either kind."""
    url: sa.URL = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def project(empty_database: sa.URL, tmp_path: Path) -> Project:
    """Return a copy of the sample, with an empty database of either kind."""
    return Project.in_folder(tmp_path / "project", empty_database)


@pytest.fixture
def sqlite_project(sqlite_url: sa.URL, tmp_path: Path) -> Project:
    """Return a copy of the sample, with a SQLite file that does not exist yet."""
    return Project.in_folder(tmp_path / "project", sqlite_url)


@pytest.fixture
def postgresql_project(postgresql_url: sa.URL, tmp_path: Path) -> Project:
    """Return a copy of the sample, with an empty PostgreSQL database."""
    return Project.in_folder(tmp_path / "project", postgresql_url)


@pytest.fixture(scope="session")
def process() -> Iterator[ProcessPoolExecutor]:
    """Yield a process for ClickHouse."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.fixture
def embedded(process: ProcessPoolExecutor, tmp_path: Path) -> Embedded:
    """Return a project whose ClickHouse is not there yet."""
    return Embedded(clickhouse_project.Project.in_folder(tmp_path), process)


@pytest.fixture
def migrated(embedded: Embedded) -> Embedded:
    """Return a project whose ClickHouse has all migrations."""
    assert embedded.run("upgrade", "--events").code == Exit.DONE
    return embedded
