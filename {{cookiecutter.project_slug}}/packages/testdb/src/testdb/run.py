"""What the hooks and fixtures of this process share."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from .config import Isolation
from .database import IsolatedDatabase
from .postgresql import PostgresqlBackend
from .report import IsolationReport, failed_key
from .sqlite import SqliteBackend


class Run:
    """One isolation in one process, and what it makes there."""

    def __init__(self, config: pytest.Config, isolation: Isolation[Any]) -> None:
        worker = getattr(config, "workerinput", {})
        # The same in all processes of a parallel run.
        self.id: str = worker.get("testrunuid") or uuid4().hex
        self.worker: str = worker.get("workerid", "main")
        self.config = config
        self.options = config.option
        self.isolation = isolation
        # Its name, or its file; in a worker, and in a run without databases, there is none.
        self.template = ""
        self.report = IsolationReport()
        self.postgresql = PostgresqlBackend(isolation, self.report, config.rootpath, self.id)
        config.add_cleanup(self.postgresql.close)

    @cached_property
    def sqlite(self) -> SqliteBackend:
        """What makes SQLite databases; pytest has to have its cache by then."""
        return SqliteBackend(self.isolation, self.report, cache_folder(self.config))

    @property
    def backend(self) -> SqliteBackend | PostgresqlBackend:
        """What `--database` says that tests run on."""
        return self.sqlite if self.options.testdb_database == "sqlite" else self.postgresql

    def is_kept(self, node: pytest.Item) -> bool:
        """Tell whether the test's database is to be kept."""
        choice = self.options.testdb_keep_database
        return bool(choice == "always" or (choice == "failed" and node.stash[failed_key]))

    def announce(self, node: pytest.Item, command: str) -> None:
        """Say in the test's report how to open the database that was kept."""
        node.add_report_section("teardown", "kept database", command)


run_key = pytest.StashKey[Run]()


@contextmanager
def restored(database: IsolatedDatabase, name: str) -> Iterator[IsolatedDatabase]:
    """Restore the state of a database at the end of a block."""
    database.snapshot(name)
    try:
        yield database
    finally:
        database.restore(name)


def cache_folder(config: pytest.Config) -> Path:
    """Return where templates are kept between runs: in pytest's own cache, if it can write one."""
    if (cache := getattr(config, "cache", None)) is not None:
        # In a checkout that is read-only, it cannot.
        with suppress(OSError):
            return Path(cache.mkdir("testdb"))
    owner = hashlib.sha256(f"{Path.home()} {config.rootpath}".encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"testdb-{owner}"
    folder.mkdir(exist_ok=True)
    return folder
