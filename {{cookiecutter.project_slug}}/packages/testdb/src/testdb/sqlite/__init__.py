"""SQLite: one migrated image, loaded into memory for `db_session`, into a file for other tests."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..config import Isolation
from ..report import IsolationReport
from ..signature import memory_folder
from .file import SqliteFile
from .image import load_template
from .memory import MemoryDatabase

__all__ = ["SqliteBackend"]


@dataclass
class SqliteBackend:
    """Makes SQLite databases for this process."""

    isolation: Isolation[Any]
    report: IsolationReport
    cache: Path  # the folder in which templates are kept between runs

    @cached_property
    def image(self) -> bytes:
        """The image of a migrated database."""
        return load_template(self.isolation, self.cache, self.report)

    def build_template(self, *, recreate: bool) -> None:
        """Make the image, unless an earlier run left it."""
        self.image = load_template(self.isolation, self.cache, self.report, recreate=recreate)

    @contextmanager
    def shared(self, file: Path | None) -> Iterator[MemoryDatabase]:
        """Give the database of `db_session`."""
        with closing(MemoryDatabase(self.image, file)) as database:
            yield database

    @contextmanager
    def isolated(self) -> Iterator[SqliteFile]:
        """Give a file for tests that have it to themselves."""
        with (
            tempfile.TemporaryDirectory(dir=memory_folder(), prefix="test-") as folder,
            closing(SqliteFile(Path(folder), self.image)) as database,
        ):
            yield database
