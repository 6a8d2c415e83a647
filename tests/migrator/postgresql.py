"""A PostgreSQL server for the session, with a database for each test."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import URL, NullPool, create_engine, make_url, text
from testdb.postgresql import embedded

MEMORY = Path("/dev/shm")  # noqa: S108  # a folder in memory, where the system has one


@contextmanager
def server_in(data: Path) -> Iterator[URL]:
    """Start a server on a data folder, and stop it afterwards."""
    url = embedded.start(data)
    try:
        yield make_url(url).set(drivername="postgresql+psycopg")
    finally:
        embedded.stop(data)


@contextmanager
def embedded_server() -> Iterator[URL]:
    """Start a server on a data folder in memory, and stop it afterwards."""
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix="migrator-postgresql-", dir=place) as folder,
        server_in(Path(folder) / "data") as url,
    ):
        yield url


@contextmanager
def new_database(server: URL, template: str = "template1") -> Iterator[URL]:
    """Yield the URL of an empty database, or a copy of another, and drop it afterwards."""
    name = f"test_{uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield server.set(database=name)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
