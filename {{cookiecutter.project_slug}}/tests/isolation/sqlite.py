"""SQLite in memory, put back to its migrated state by loading an image.

That undoes everything: commits, schema changes, row numbers. It is only done where a test was not
rolled back as a whole, for SQLite then reads the schema and prepares all statements again.
"""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from alembic.config import Config
from sqlalchemy import Connection, Engine, StaticPool, create_engine

from tests.isolation.difference import Difference, difference
from tests.isolation.migration import upgrade
from tests.isolation.transactions import control_directly

# Marks a database as made here: destructive helpers of a service can ask for it.
APPLICATION_ID = int.from_bytes(b"test")


def open_shared(name: str = ":memory:") -> sqlite3.Connection:
    """Return a connection to a new, empty database in memory, or to a file.

    It is shared by the test, and by the threads that serve the app; they take turns. The driver
    never begins or commits by itself: with its own transactions, savepoints leak rows.
    """
    return sqlite3.connect(name, check_same_thread=False, isolation_level=None)


def control(engine: Engine, raw: sqlite3.Connection) -> None:
    """Send what controls the engine's transactions to the one connection it has."""

    def say(_: Connection, statement: str) -> None:
        raw.execute(statement)

    def rollback(dbapi_connection: object) -> None:
        raw.rollback()

    control_directly(engine, say, begin=["BEGIN", "SAVEPOINT isolation"])
    engine.dialect.do_rollback = rollback  # type: ignore[method-assign]


def migrated_image(alembic: Config) -> bytes:
    """Return the image of a database with all migrations applied.

    Raises:
        Exception: Whatever a failing migration raises.
    """
    raw = open_shared()
    engine = sync_engine_on(raw)
    control(engine, raw)
    with engine.connect() as connection:
        upgrade(alembic, connection)
    raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    image = raw.serialize()
    engine.dispose()
    return image


def sync_engine_on(raw: sqlite3.Connection) -> Engine:
    """Return an engine that always uses `raw`."""
    return create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)


def compare_images(before: bytes, after: bytes) -> Difference:
    """Return the rows in which two images differ."""
    with closing(open_shared()) as old, closing(open_shared()) as new:
        old.deserialize(before)
        new.deserialize(after)
        with sync_engine_on(old).connect() as one, sync_engine_on(new).connect() as other:
            return difference(one, other)


def keep_image(image: bytes) -> str:
    """Write an image to a file that outlives the run, and return the command that opens it."""
    path = Path(tempfile.mkdtemp(prefix="kept-")) / "test.db"
    path.write_bytes(image)
    return f"sqlite3 {path}"


class MemoryDatabase:
    """The database of `db_session` in this process."""

    kind = "sqlite"

    def __init__(self, image: bytes, file: Path | None = None) -> None:
        """Open it, in memory or for debugging in a file; it is empty until `clean` is called."""
        self.raw = open_shared(str(file or ":memory:"))
        self.image = image
        self.file = file

    def clean(self) -> None:
        """Make the database what the image holds, whatever happened to it since."""
        self.raw.rollback()
        if self.file is None:
            self.raw.deserialize(self.image)
            return
        with closing(open_shared()) as source:
            source.deserialize(self.image)
            source.backup(self.raw)

    def left_over(self) -> Difference:
        """Return the rows in which the database differs from the image."""
        self.raw.rollback()
        return compare_images(self.image, self.raw.serialize())

    def keep(self) -> str:
        """Copy the present state to a file; return the command that opens it."""
        return keep_image(self.raw.serialize())

    def close(self) -> None:
        """Give the memory back."""
        self.raw.close()
