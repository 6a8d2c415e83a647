"""A PostgreSQL server for the session, with a database for each test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import URL, NullPool, create_engine, make_url, text
from testdb.postgresql import embedded

MEMORY = Path("/dev/shm")  # noqa: S108  # a folder in memory, where the system has one


@contextmanager
def embedded_server() -> Iterator[URL]:
    """Start a server, and stop it afterwards."""
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="migrator-postgresql-", dir=memory))
    try:
        yield make_url(embedded.start(folder)).set(drivername="postgresql+psycopg")
    finally:
        embedded.stop(folder)
        shutil.rmtree(folder)


@contextmanager
def new_database(server: URL) -> Iterator[URL]:
    """Yield the URL of an empty database, and drop it afterwards."""
    name = f"test_{uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield server.set(database=name)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
