"""SQLite in memory, put back to its migrated state before each test by restoring an image.

Restoring takes microseconds and undoes everything: commits, schema changes, row numbers.
"""

import sqlite3
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, StaticPool, create_engine, event

# Marks a database as made here: destructive helpers of a service can ask for it.
APPLICATION_ID = int.from_bytes(b"test")


def open_memory() -> sqlite3.Connection:
    """Return a connection to a new, empty database in memory.

    It is shared by the test, and by the threads that serve the app; they take turns. The driver
    never begins or commits by itself: with its own transactions, savepoints leak rows.
    """
    return sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)


def begin_explicitly(engine: Engine) -> None:
    """Make the engine say BEGIN itself, as the driver does not."""

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")


def migrated_image(alembic: Config) -> bytes:
    """Return the image of a database with all migrations applied.

    Raises:
        Exception: Whatever a failing migration raises.
    """
    raw = open_memory()
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
    begin_explicitly(engine)
    with engine.connect() as connection:
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, "head")
    raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    image = raw.serialize()
    engine.dispose()
    return image


def restore(raw: sqlite3.Connection, image: bytes) -> None:
    """Make the database what the image holds, whatever happened to it since."""
    raw.rollback()
    raw.deserialize(image)


def adapt(connection: Any) -> None:
    """Switch on what the service relies on; the setting outlives a restore."""
    connection.execute("PRAGMA foreign_keys = ON")
