"""ClickHouse databases: copied from a migrated one, and put back after each test.

Putting back is not copying again. Every table of ClickHouse keeps its rows in parts, which never
change: new rows are new parts. So the names of the parts tell which tables a test has written to,
and only those get the rows they had. If the schema is another one, all of it is copied again.
"""

import re
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool

from tests.isolation.clickhouse.server import ClickhouseServer
from tests.isolation.report import timed, timings
from tests.isolation.server import COMMENT, PREFIX


@dataclass(frozen=True)
class State:
    """What a database looks like from outside.

    Attributes:
        tables: The definition of each table. One that was dropped and made again is another one.
        parts: The names of each table's parts, for those that have any.
    """

    tables: Mapping[str, tuple[object, ...]]
    parts: Mapping[str, set[str]]


@dataclass
class Kept:
    """A state that can be restored: the database with the copy, and how to recognise the state."""

    copy: str
    state: State


def make_migrated(server: ClickhouseServer, alembic: Config, name: str) -> None:
    """Make a database and apply all migrations, which others are copied from.

    Raises:
        Exception: Whatever a failing migration raises.
    """
    server.create(name)
    with timed("clickhouse template built"), engine_on(server, name).connect() as connection:
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, "head")


def engine_on(server: ClickhouseServer, database: str) -> sa.Engine:
    """Return SQLAlchemy's way to a database."""
    return sa.create_engine(
        "clickhousedb+connect://",
        poolclass=NullPool,
        connect_args={**server.arguments, "database": database},
    )


class ClickhouseDatabase:
    """A database of ClickHouse, put back to its first state as often as you like."""

    def __init__(
        self,
        server: ClickhouseServer,
        name: str,
        template: str,
        tables: Collection[str] | None = None,
    ) -> None:
        """Copy a template, or some tables of it."""
        self.server = server
        self.name = name
        self.snapshots: dict[str, Kept] = {}
        self.make(template, tables)
        self.first = Kept(template, self.look())

    def make(self, source: str, tables: Collection[str] | None = None) -> None:
        """Make the database as a copy of another one."""
        self.server.create(self.name)
        copy_tables(self.server, source, self.name, tables)

    def look(self) -> State:
        """Return what the database looks like now."""
        # Tables without parts tell no more than how many rows they have.
        tables = self.server.rows(
            "SELECT name, (uuid, create_table_query, if(engine LIKE '%MergeTree', 0, total_rows))"
            f" FROM system.tables WHERE database = '{self.name}'"
        )
        parts = self.server.rows(
            f"SELECT table, name FROM system.parts WHERE database = '{self.name}' AND active"
        )
        names: defaultdict[str, set[str]] = defaultdict(set)
        for table, name in parts:
            names[table].add(name)
        return State(dict(tables), dict(names))

    def reset(self) -> str:
        """Go back to the first state. Returns what was needed: nothing, rows or copy."""
        started = time.perf_counter()
        needed = self.put_back(self.first)
        timings[f"clickhouse reset ({needed})"].append(time.perf_counter() - started)
        return needed

    def put_back(self, kept: Kept) -> str:
        """Go back to a state that was kept. Returns what was needed: nothing, rows or copy."""
        now, then = self.look(), kept.state
        if now == then:
            return "nothing"
        if now.tables != then.tables:
            self.server.drop(self.name)
            self.make(kept.copy, {*then.tables})
            kept.state = self.look()
            return "copy"
        changed = {
            table
            for table in now.parts.keys() | then.parts.keys()
            if now.parts.get(table) != then.parts.get(table)
        }
        for table in changed:
            self.server.client.command(f"TRUNCATE TABLE {self.name}.`{table}`")
        refilled = changed & then.parts.keys()
        for table in refilled:
            copy_rows(self.server, kept.copy, self.name, table)
        if refilled:
            # The same rows, in new parts.
            kept.state = self.look()
        return "rows"

    def snapshot(self, name: str) -> None:
        """Keep the present state under a name."""
        if name in self.snapshots:
            self.server.drop(self.snapshots.pop(name).copy)
        copy = f"{PREFIX}{self.server.run}_{uuid4().hex[:8]}"
        self.server.create(copy)
        copy_tables(self.server, self.name, copy)
        self.snapshots[name] = Kept(copy, self.look())

    def restore(self, name: str) -> None:
        """Go back to a state that was kept.

        Raises:
            KeyError: There is no snapshot of this name.
        """
        self.put_back(self.snapshots[name])

    def forget_snapshots(self) -> None:
        """Drop all states that were kept."""
        for kept in self.snapshots.values():
            self.server.drop(kept.copy)
        self.snapshots.clear()

    def keep(self) -> str:
        """Copy the present state to where it outlives the run; return the command to open it."""
        if self.server.folder is not None:
            folder = Path(tempfile.mkdtemp(prefix="kept-")) / "clickhouse"
            shutil.copytree(self.server.folder, folder)
            return opening({**self.server.arguments, "path": str(folder), "database": self.name})
        name = f"{PREFIX}kept_{uuid4().hex[:8]}"
        self.server.client.command(f"CREATE DATABASE {name} COMMENT '{COMMENT} kept'")
        copy_tables(self.server, self.name, name)
        return opening({**self.server.arguments, "database": name})

    def close(self) -> None:
        """Drop the database and all states that were kept."""
        self.forget_snapshots()
        self.server.drop(self.name)


def copy_tables(
    server: ClickhouseServer,
    source: str,
    target: str,
    only: Collection[str] | None = None,
) -> None:
    """Copy tables and views to another database, and the rows of those that have parts."""
    found = server.rows(
        "SELECT name, create_table_query, ifNull(engine LIKE '%MergeTree' AND total_rows, 0)"
        f" FROM system.tables WHERE database = '{source}'"
    )
    statements = {name: statement for name, statement, _ in found if only is None or name in only}
    filled = {name for name, _, has_rows in found if has_rows}
    # A view comes after the tables it is made from.
    mentioned = re.compile(rf"\b{source}\.`?(\w+)")
    order = {
        name: {other for other in mentioned.findall(statement) if other in statements} - {name}
        for name, statement in statements.items()
    }
    for name in TopologicalSorter(order).static_order():
        server.client.command(re.sub(rf"\b{source}\.", f"{target}.", statements[name]))
        if name in filled:
            copy_rows(server, source, target, name)


def copy_rows(server: ClickhouseServer, source: str, target: str, table: str) -> None:
    """Add the rows of a table to the same table in another database. Its parts are shared."""
    server.client.command(
        f"ALTER TABLE {target}.`{table}` ATTACH PARTITION ALL FROM {source}.`{table}`"
    )


def opening(arguments: Mapping[str, object]) -> str:
    """Return the command that opens a database for somebody to look at."""
    options = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    code = f"import clickhouse_connect; client = clickhouse_connect.get_client({options})"
    return f'python -ic "{code}"'
