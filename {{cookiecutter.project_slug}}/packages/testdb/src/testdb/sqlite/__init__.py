"""SQLite: one migrated image, loaded into memory for `db_session`, into a file for other tests.

The image is built once and kept between runs. Its name has a hash of what it is made from. So it is
rebuilt exactly when a migration changes, and with many revisions a run starts as fast as with one.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import event

from ..abandoned import folder_of_process
from ..config import Isolation
from ..fingerprint import family, fingerprint
from ..migrations import migrate_and_prepare
from ..report import IsolationReport
from ..signature import APPLICATION_ID, memory_folder
from .file import SqliteFile
from .image import engine_on, open_sqlite
from .memory import MemoryDatabase


@dataclass
class SqliteBackend:
    """Makes SQLite databases for this process."""

    isolation: Isolation[Any]
    report: IsolationReport
    cache: Path  # the folder in which images are kept between runs

    @cached_property
    def image(self) -> bytes:
        """The image of a migrated database."""
        return self.load(recreate=False)

    @cached_property
    def file(self) -> Path:
        """The file that keeps the image between runs."""
        return self.cache / f"{self.family}-{fingerprint(self.isolation)}.sqlite"

    @cached_property
    def family(self) -> str:
        """How the names of this service's images begin. Another one may have the same cache."""
        return family(self.isolation, "")

    def build_template(self, *, recreate: bool) -> str:
        """Make the image, unless an earlier run left it, and return its file."""
        self.image = self.load(recreate=recreate)
        return str(self.file)

    def load(self, *, recreate: bool) -> bytes:
        """Return the image, and build it before if there is none, or on `recreate`."""
        path = self.file
        if recreate or not path.exists():
            # Here: a run that finds its template has no use for it.
            from filelock import FileLock

            # Processes may ask at the same time: one builds, the others wait for it.
            with self.report.timed("sqlite template built"), FileLock(self.cache / "lock"):
                if recreate or not path.exists():
                    image = self.build()
                    for outdated in self.cache.glob(f"{self.family}-*.sqlite"):
                        outdated.unlink()
                    # Renamed when it is complete: no process reads a part of it.
                    scratch = path.with_suffix(".building")
                    scratch.write_bytes(image)
                    scratch.replace(path)
        with self.report.timed("sqlite template read"):
            return path.read_bytes()

    def build(self) -> bytes:
        """Return the image of a database with all migrations applied."""
        with closing(open_sqlite()) as raw:
            engine = engine_on(raw)
            event.listen(engine, "begin", lambda _: raw.execute("BEGIN"))
            with engine.connect() as connection:
                migrate_and_prepare(self.isolation, connection)
            raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            return raw.serialize()

    def shared(self, file: Path | None) -> closing[MemoryDatabase]:
        """Give the database of `db_session`."""
        return closing(MemoryDatabase(self.image, file))

    @contextmanager
    def isolated(self) -> Iterator[SqliteFile]:
        """Give a file for tests that have it to themselves."""
        with (
            folder_of_process(memory_folder(), f"testdb-{os.getuid()}") as folder,
            closing(SqliteFile(folder, self.image)) as database,
        ):
            yield database
