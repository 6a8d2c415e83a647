"""A SQLite file for many connections, in memory where the system has a folder there.

Databases in memory do not do for that: with a shared cache they are locked at once, and with the
memory file system a waiting writer blocks readers.
"""

import itertools
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from ..queries import own_engine
from .image import engine_on, keep_image, open_sqlite
from .watched import watch


class SqliteFile:
    """A migrated file in WAL mode, so that readers and a writer do not wait for each other.

    A service may choose another mode as it connects.
    """

    kind = "sqlite"
    # Connections may stay open while the content is put back: they see it as a change.
    is_exclusive = False

    def __init__(self, folder: Path, image: bytes) -> None:
        """Write the image to a file in a folder."""
        self.image = image
        self.first = open_sqlite()
        self.first.deserialize(image)
        self.snapshots: dict[str, sqlite3.Connection] = {}
        self.paths = (folder / f"isolated-{number}.db" for number in itertools.count())
        self.open_next()

    def open_next(self) -> None:
        """Begin a new file, and leave the old one to those that still have it open."""
        self.path = next(self.paths)
        self.name = self.path.name
        self.url = URL.create("sqlite", database=str(self.path))
        self.path.write_bytes(self.image)
        self.kept.execute("PRAGMA journal_mode = WAL")
        self.first_mode = self.journal_mode()
        self.first_version = self.schema_version()

    @cached_property
    def kept(self) -> sqlite3.Connection:
        """The connection for putting the content back: opening one takes longer than that."""
        kept = open_sqlite(str(self.path))
        kept.execute("PRAGMA synchronous = OFF")
        # Long enough for a thread that is about to commit.
        kept.execute("PRAGMA busy_timeout = 200")
        return kept

    def close_kept(self, *_: object) -> None:
        """Close the connection; the next use opens another."""
        if "kept" in vars(self):
            self.kept.close()
            del self.kept

    def watch(self, engine: Engine) -> None:
        """Let the service's connections tell what a test sets on them.

        The first one may choose the mode of the file, which takes one that nobody else has open.
        """
        watch(engine)
        event.listen(engine, "do_connect", self.close_kept, once=True)
        event.listen(engine, "connect", self.note_mode, once=True)

    def note_mode(self, *_: object) -> None:
        """Note the mode that the service has chosen. A test may choose another one, too."""
        self.first_mode = self.journal_mode()
        self.close_kept()

    def forget_settings(self, _engine: Engine, _used: Iterable[ConnectionPoolEntry]) -> bool:
        """Say that nothing is left: the connections have told, and would have been closed."""
        return True

    def reset(self) -> str:
        """Put back the first state."""
        self.put(self.first)
        return "rows"

    def renew(self, *, is_in_use: bool = False) -> str:
        """Put it back for another test, maybe as another file."""
        # An error says that another connection is in the middle of a transaction.
        with suppress(sqlite3.OperationalError):
            if not is_in_use and self.journal_mode() == self.first_mode:
                return self.put_back()
        self.close_kept()
        self.open_next()
        return "spare"

    def put_back(self) -> str:
        """Put back the first state while no connection is in use.

        A copy counts as a change of the schema, after which each connection reads that again and
        prepares all its statements again. Where the test has changed rows alone, it need not.
        """
        before = self.schema_version()
        self.reset()
        if before == self.first_version:
            self.kept.execute(f"PRAGMA schema_version = {before}")
        self.first_version = self.schema_version()
        return "rows"

    def journal_mode(self) -> str:
        """Return the mode that the file is in; no copy changes it."""
        (mode,) = self.kept.execute("PRAGMA journal_mode").fetchone()
        return str(mode)

    def schema_version(self) -> int:
        """Return the number by which connections see that the schema has changed."""
        (version,) = self.kept.execute("PRAGMA schema_version").fetchone()
        return int(version)

    def snapshot(self, name: str) -> None:
        """Keep the present state under a name."""
        if name not in self.snapshots:
            self.snapshots[name] = open_sqlite()
        self.kept.backup(self.snapshots[name])

    def restore(self, name: str) -> None:
        """Go back to a snapshot."""
        self.put(self.snapshots[name])

    def put(self, state: sqlite3.Connection) -> None:
        """Make the file's content that of a database in memory, in one transaction."""
        state.backup(self.kept, progress=stop_if_locked, sleep=0.01)

    def connected(self) -> Connection:
        """Return a connection to the database."""
        return own_engine(self.url).connect()

    def opened(self, name: str) -> Connection:
        """Return a connection to a snapshot."""
        return engine_on(self.snapshots[name]).connect()

    def keep(self) -> str:
        """Copy the present state to a file that outlives the test; return what opens it."""
        return keep_image(self.kept.serialize())

    def forget_snapshots(self) -> None:
        """Drop all snapshots."""
        while self.snapshots:
            self.snapshots.popitem()[1].close()

    def close(self) -> None:
        """Close its own connections."""
        self.forget_snapshots()
        self.first.close()
        self.close_kept()


def stop_if_locked(status: int, _remaining: int, _total: int) -> None:
    """End a copy that has to wait for a transaction."""
    if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise sqlite3.OperationalError("the isolated database is in use: end all transactions")
