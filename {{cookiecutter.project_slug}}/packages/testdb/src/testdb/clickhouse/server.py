"""The ClickHouse of the tests, and who may clean up on it.

It is the server that TEST_CLICKHOUSE_HOST names, else chdb in this process, on a folder of its own.
Databases carry the id of their run. The next run drops those whose run is over.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from ..signature import COMMENT, require_marked
from .runs import alive, name_of_place, over, place, runs
from .sent import sent

# What every server has.
BUILT_IN = ("default", "system", "information_schema", "INFORMATION_SCHEMA")
# What a test can stop for all tables, as by SYSTEM STOP MERGES.
STOPPED = ("MERGES", "TTL MERGES", "MOVES", "FETCHES", "VIEWS")


@dataclass
class ClickhouseServer:
    """A server, or the embedded one, and this run's place on it."""

    arguments: dict[str, Any]  # of clickhouse-connect, to get there
    run: str  # its id, the same in all its workers
    origin: str  # who can tell whether the run still lives
    client: Client  # open as long as this process may make databases
    folder: Path | None = None  # where the embedded one keeps its data; None if it is a server
    # What migrations left outside of test databases.
    first_strays: dict[str, str] = field(default_factory=dict)

    def connect(self, database: str) -> Client:
        """Return a new client on a database."""
        return clickhouse_connect.get_client(**self.arguments, database=database)

    def rows(self, query: str) -> list[Any]:
        """Return what a query finds, wherever it looks."""
        return list(self.client.query(query).result_rows)

    def create(self, name: str) -> None:
        """Make an empty database of this run."""
        self.client.command(f"CREATE DATABASE {name} COMMENT '{self.mark(self.run)}'")

    def mark(self, run: str) -> str:
        """Return what says in a database itself that tests made it."""
        return f"{COMMENT} of run {run} at {self.origin}"

    def drop(self, name: str) -> None:
        """Drop a database, if it is a test database."""
        require_marked(name, self.databases())
        # Without SYNC, which waits for every query that still reads.
        self.client.command(f"DROP DATABASE {name}")

    def databases(self) -> dict[str, str]:
        """Return the test databases, with their comments."""
        query = f"SELECT name, comment FROM system.databases WHERE comment LIKE '{COMMENT}%'"
        return dict(self.rows(query))

    def drop_abandoned(self) -> None:
        """Drop the databases of runs from here that are over, such as one that was killed."""
        for name, comment in self.databases().items():
            run = comment.partition(" of run ")[2].partition(" at ")[0]
            if run != self.run and comment == self.mark(run):
                with over(run) as is_over:
                    # Another run may have been faster.
                    if is_over and name in self.databases():
                        self.drop(name)

    def find_strays(self) -> dict[str, str]:
        """Return what is outside of test databases, each with the statement that drops it."""
        if self.folder is None:
            return {}
        found = self.rows(
            "SELECT concat('the database ', name), concat('DROP DATABASE `', name, '`')"
            f" FROM system.databases WHERE name NOT IN {BUILT_IN}"
            f" AND comment NOT LIKE '{COMMENT}%'"
            " UNION ALL SELECT concat('the table default.', name), concat('DROP ',"
            " if(engine = 'Dictionary', 'DICTIONARY', 'TABLE'), ' default.`', name, '` SYNC')"
            " FROM system.tables WHERE database = 'default'"
        )
        return dict(found)

    def left_behind(self, database: str) -> list[str]:
        """Return what a test left outside of its database; databases and tables are dropped.

        Those only in the embedded one, where no other process can have made them.
        """
        running, strays = [], {}
        if self.folder is None or sent.streams:
            running = self.rows(
                f"SELECT query FROM system.processes WHERE current_database = '{database}'"
            )
        if self.folder is not None and sent.others:
            found = self.find_strays()
            strays = {name: found[name] for name in found.keys() - self.first_strays.keys()}
        for statement in strays.values():
            # In any order: one may depend on another.
            self.client.command(statement, settings={"check_table_dependencies": 0})
        if self.folder is not None and sent.stops:
            for what in STOPPED:
                self.client.command(f"SYSTEM START {what}")
        return [
            *(f"a result that is not read to its end: {query}" for (query,) in running),
            *sorted(strays),
        ]


@contextmanager
def clickhouse_for_tests(run: str, worker: str) -> Iterator[ClickhouseServer]:
    """Give the ClickHouse of the tests: the server the environment names, else the embedded one."""
    with alive(run):
        remove_abandoned_folders()
        if arguments := named_clickhouse():
            with closing(clickhouse_connect.get_client(**arguments)) as client:
                server = ClickhouseServer(arguments, run, name_of_place(), client)
                server.drop_abandoned()
                yield server
            return
        pytest.importorskip(
            "chdb",
            reason="no ClickHouse: set TEST_CLICKHOUSE_HOST or install chdb",
        )
        folder = place() / f"{run}-{worker}"
        folder.mkdir()
        arguments = {"interface": "chdb", "path": str(folder)}
        try:
            with closing(clickhouse_connect.get_client(**arguments)) as client:
                yield ClickhouseServer(arguments, run, "this process", client, folder)
        finally:
            shutil.rmtree(folder)


def named_clickhouse() -> dict[str, Any] | None:
    """Return how to reach the server that the environment names; None if it names none."""
    host = os.environ.get("TEST_CLICKHOUSE_HOST")
    if not host:
        return None
    return {
        "host": host,
        "port": int(os.environ.get("TEST_CLICKHOUSE_PORT", "8123")),
        "username": os.environ.get("TEST_CLICKHOUSE_USER", "default"),
        "password": os.environ.get("TEST_CLICKHOUSE_PASSWORD", ""),
    }


def remove_abandoned_folders() -> None:
    """Remove the data of embedded ones whose run is over."""
    for run in runs():
        with over(run) as is_over:
            if is_over:
                for folder in place().glob(f"{run}-*"):
                    shutil.rmtree(folder)
