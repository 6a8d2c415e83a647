"""SQLite databases in memory, and their images: the bytes of the file that each would be."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, StaticPool

from ..queries import own_engine


def open_sqlite(name: str = ":memory:", **options: Any) -> sqlite3.Connection:
    """Return a connection to a new, empty database in memory, or to a file.

    Threads may take turns on it. The driver never begins or commits by itself: with its own
    transactions, savepoints leak rows.
    """
    options |= {"check_same_thread": False, "isolation_level": None}
    connection: sqlite3.Connection = sqlite3.connect(name, **options)
    return connection


@contextmanager
def opened(image: bytes) -> Iterator[sqlite3.Connection]:
    """Give a connection to a database in memory that holds an image."""
    with closing(open_sqlite()) as raw:
        raw.deserialize(image)
        yield raw


def engine_on(raw: sqlite3.Connection) -> Engine:
    """Return an engine that always uses `raw`."""
    return own_engine("sqlite://", StaticPool, creator=lambda: raw)


def keep_image(image: bytes) -> str:
    """Write an image to a file that outlives the run, and return the command that opens it."""
    path = Path(tempfile.mkdtemp(prefix="kept-")) / "test.db"
    path.write_bytes(image)
    return f"sqlite3 {path}"
