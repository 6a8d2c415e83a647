"""`db_session` on SQLite: a database in memory, put back by loading an image.

That undoes everything: commits, schema changes, row numbers, what is set on the connection. It is
only done where a rollback did not, because SQLite then reads the schema and prepares all statements
again.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from ..config import NOWHERE
from ..difference import Difference, difference
from ..session import send_savepoints
from ..verdicts import BrokenConstraintError, SecondConnectionError, VanishedTransactionError
from .image import engine_on, keep_image, open_sqlite, opened
from .watched import watch

# Of the options a service passes to the driver, those that make sense for memory.
DRIVER_OPTIONS = ("cached_statements", "detect_types", "factory", "timeout")


class MemoryDatabase:
    """The SQLite database of `db_session` in this process."""

    kind = "sqlite"

    def __init__(self, image: bytes, file: Path | None = None) -> None:
        """Keep it in memory or, for debugging, in a file. An engine opens it: see `attach`."""
        self.image = image
        self.file = file
        self.url = NOWHERE["sqlite"].set(database=str(file)) if file else NOWHERE["sqlite"]
        self.raw = open_sqlite()
        self.record: ConnectionPoolEntry | None = None
        self.has_foreign_keys = False

    def attach(self, engine: Engine) -> None:
        """Make the service's engine open this database, whatever its URL says."""

        def connect(
            dialect: Dialect,
            record: ConnectionPoolEntry,
            _args: Sequence[Any],
            options: Mapping[str, Any],
        ) -> Any:
            if self.record is not None and self.record is not record and self.record.in_use:
                raise SecondConnectionError
            self.record = record
            kept = {name: options[name] for name in DRIVER_OPTIONS if name in options}
            self.raw.close()
            self.raw = open_sqlite(str(self.file or ":memory:"), **kept)
            self.load()
            return adapted(dialect, self.raw)

        def note_connect(_: object, __: object) -> None:
            # The service may have turned them on, and SQLite ignores that in a transaction.
            [(self.has_foreign_keys,)] = rows(self.raw, "PRAGMA foreign_keys")

        def begin(_: Connection) -> None:
            raw = self.raw
            # An engine that has an isolation level makes the driver begin by itself.
            raw.isolation_level = None
            if not raw.in_transaction:
                raw.execute("BEGIN")
            raw.execute("SAVEPOINT isolation")

        watch(engine)
        event.listen(engine, "do_connect", connect)
        event.listen(engine, "connect", note_connect)
        # Behind the service's own listener: it may have said BEGIN, in its own way.
        event.listen(engine, "begin", begin)
        send_savepoints(engine, lambda _, statement: self.raw.execute(statement))
        vars(engine.dialect).update(
            do_ping=lambda _: True,
            do_rollback=lambda _: self.raw.rollback(),
        )

    def finish(self, _connection: Connection, statement: str) -> None:
        """Check foreign keys as a commit does, and end the test's transaction."""
        if self.has_foreign_keys:
            self.check_foreign_keys()
        try:
            self.raw.execute("RELEASE SAVEPOINT isolation")
            self.raw.execute(statement)
        except sqlite3.Error as error:
            raise VanishedTransactionError from error

    def check_foreign_keys(self) -> None:
        """Raise an error for a row that refers to none, unless the migrations left it."""
        # A key that refers to columns that are not unique fails here, and harms no one else.
        with suppress(sqlite3.Error):
            for found in rows(self.raw, "PRAGMA foreign_key_check"):
                if found not in self.broken_by_migrations:
                    table, row, parent, _ = found
                    problem = f"row {row} of {table} refers to no row of {parent}"
                    raise BrokenConstraintError(problem)

    @cached_property
    def broken_by_migrations(self) -> set[Any]:
        """The rows of the image that refer to none."""
        with opened(self.image) as first:
            return set(rows(first, "PRAGMA foreign_key_check"))

    def clean(self, engine: Engine) -> None:
        """Begin with a new connection, which loads the image."""
        engine.dispose()

    def load(self) -> None:
        """Make the database what the image holds."""
        if self.file is None:
            self.raw.deserialize(self.image)
            return
        with opened(self.image) as source:
            source.backup(self.raw)

    def left_over(self) -> Difference:
        """Return the rows in which the database differs from the image."""
        self.raw.rollback()
        with (
            opened(self.image) as first,
            opened(self.raw.serialize()) as last,
            engine_on(first).connect() as before,
            engine_on(last).connect() as after,
        ):
            return difference(before, after)

    def keep(self) -> str:
        """Copy the present state to a file; return the command that opens it."""
        return keep_image(self.raw.serialize())

    def close(self) -> None:
        """Give the memory back."""
        self.raw.close()


def rows(raw: sqlite3.Connection, query: str) -> list[Any]:
    """Return what a query finds, as tuples even if the service has other rows."""
    cursor = raw.cursor()
    cursor.row_factory = None
    return cursor.execute(query).fetchall()


def adapted(dialect: Dialect, raw: sqlite3.Connection) -> Any:
    """Return the connection as the engine's driver hands it out."""
    if not dialect.is_async:
        return raw
    import aiosqlite

    # As SQLAlchemy's `async_creator` does it.
    return dialect.loaded_dbapi.connect(
        async_creator_fn=lambda: aiosqlite.Connection(lambda: raw, iter_chunk_size=64)
    )
