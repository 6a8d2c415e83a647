"""A SQLite file of a test's own, for many connections; in memory where the system has a folder.

Databases in memory do not do for that: with a shared cache they are locked at once, and with the
memory file system a waiting writer blocks readers.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, NullPool, create_engine

from tests.isolation.sqlite import keep_image, open_shared, sync_engine_on

# Bytes 18 and 19 of the header tell the journal: 1 is a rollback journal, 2 a write-ahead log.
# https://www.sqlite.org/fileformat.html#file_format_version_numbers
JOURNAL = slice(18, 20)


class SqliteFile:
    """A migrated file in WAL mode, so that readers and a writer do not wait for each other."""

    kind = "sqlite"

    def __init__(self, path: Path, image: bytes) -> None:
        """Write the image to the file."""
        self.path = path
        self.image = image
        self.url = URL.create("sqlite", database=str(path))
        self.snapshots: dict[str, bytes] = {}
        path.write_bytes(image)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")

    def reset(self) -> str:
        """Put back the first state."""
        self.put(self.image)
        return "copy"

    def snapshot(self, name: str) -> None:
        """Keep the present state under a name."""
        with closing(sqlite3.connect(self.path)) as connection:
            image = bytearray(connection.serialize())
        # A database with a write-ahead log cannot be loaded into memory.
        image[JOURNAL] = b"\x01\x01"
        self.snapshots[name] = bytes(image)

    def restore(self, name: str) -> None:
        """Go back to a state that was kept."""
        self.put(self.snapshots[name])

    def put(self, image: bytes) -> None:
        """Make the file's content that of an image, in one transaction."""
        with (
            closing(sqlite3.connect(":memory:")) as source,
            closing(sqlite3.connect(self.path)) as target,
        ):
            source.deserialize(image)
            source.backup(target)

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Give a connection to the database."""
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.connect() as connection:
            yield connection

    @contextmanager
    def opened(self, name: str) -> Iterator[Connection]:
        """Give a connection to a state that was kept."""
        with closing(open_shared()) as raw:
            raw.deserialize(self.snapshots[name])
            with sync_engine_on(raw).connect() as connection:
                yield connection

    def keep(self) -> str:
        """Copy the present state to a file that outlives the test; return what opens it."""
        self.snapshot("kept")
        return keep_image(self.snapshots["kept"])

    def forget_snapshots(self) -> None:
        """Drop all states that were kept."""
        self.snapshots.clear()
