"""ClickHouse databases: copied from a migrated one, and put back after each test.

Putting back is not copying again. ClickHouse keeps the rows of a table in parts, which never
change: what a test writes, changes or deletes makes new parts. So the names of the parts tell which
tables are not what they were, and only those get their first rows again. If the schema is another
one, all of it is copied again; so it is where rows are not kept in parts.
"""

import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

import sqlalchemy as sa
from alembic.config import Config
from sqlalchemy import NullPool

from ..migrations import migrate
from ..signature import COMMENT, PREFIX
from .server import ClickhouseServer


class Table(NamedTuple):
    """What a table is. One that was dropped and made again has another id."""

    engine: str
    statement: str
    uuid: UUID

    @property
    def hides_rows(self) -> bool:
        """Whether it may have rows that are in no part."""
        return not self.engine.endswith(("MergeTree", "View", "Dictionary"))


@dataclass(frozen=True)
class State:
    """What a database looks like from outside.

    Attributes:
        tables: All tables and views.
        parts: The names of each table's parts, for those that have any.
    """

    tables: Mapping[str, Table]
    parts: Mapping[str, set[str]]


@dataclass
class Kept:
    """A state that can be restored.

    Attributes:
        copy: A database with what had to be copied.
        state: What the database looks like in this state.
        rows: Where there is a copy of each table that has rows: in the database of this name.
    """

    copy: str
    state: State
    rows: Mapping[str, str]


def make_migrated(server: ClickhouseServer, alembic: Config, name: str) -> None:
    """Make a database and apply all migrations, which others are copied from.

    Raises:
        MigrationError: One of them fails.
    """
    server.create(name)
    with engine_on(server, name).connect() as connection:
        migrate(alembic, connection)


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
        rows = copy_database(server, template, name, tables)
        self.first = Kept(template, look(server, name), rows)

    def look(self) -> State:
        """Return what the database looks like now."""
        return look(self.server, self.name)

    def reset(self) -> str:
        """Go back to the first state. Returns what was needed: nothing, rows or copy."""
        return self.put_back(self.first)

    def put_back(self, kept: Kept) -> str:
        """Go back to a state that was kept. Returns what was needed: nothing, rows or copy."""
        now, then = self.look(), kept.state
        if now.tables != then.tables or any(table.hides_rows for table in now.tables.values()):
            self.server.drop(self.name)
            statements = {name: table.statement for name, table in then.tables.items()}
            build(self.server, self.name, statements, kept.rows)
            kept.state = self.look()
            return "copy"
        changed = {
            table
            for table in now.parts.keys() | then.parts.keys()
            if now.parts.get(table) != then.parts.get(table)
        }
        for table in changed:
            self.server.client.command(f"TRUNCATE TABLE {self.name}.`{table}`")
            if table in kept.rows:
                copy_rows(self.server, kept.rows[table], self.name, table)
        if changed & kept.rows.keys():
            # The same rows, in new parts.
            kept.state = State(now.tables, parts_of(self.server, self.name))
        return "rows" if changed else "nothing"

    def snapshot(self, name: str) -> None:
        """Keep the present state under a name. Tables that have their first rows need no copy."""
        if name in self.snapshots:
            self.server.drop(self.snapshots.pop(name).copy)
        state, first = self.look(), self.first.state
        copy = f"{PREFIX}{self.server.run}_{uuid4().hex[:8]}"
        self.server.create(copy)
        rows = {}
        for table, parts in state.parts.items():
            if (state.tables[table], parts) == (first.tables.get(table), first.parts.get(table)):
                rows[table] = self.first.rows[table]
                continue
            self.server.client.command(
                f"CREATE TABLE {copy}.`{table}` CLONE AS {self.name}.`{table}`"
            )
            rows[table] = copy
        self.snapshots[name] = Kept(copy, state, rows)

    def restore(self, name: str) -> None:
        """Go back to a state that was kept.

        Raises:
            KeyError: There is no snapshot of this name.
        """
        self.put_back(self.snapshots[name])

    def forget_snapshots(self) -> None:
        """Drop all states that were kept."""
        while self.snapshots:
            self.server.drop(self.snapshots.popitem()[1].copy)

    def keep(self) -> str:
        """Copy the present state to where it outlives the run; return the command to open it."""
        if self.server.folder is not None:
            folder = Path(tempfile.mkdtemp(prefix="kept-")) / "clickhouse"
            shutil.copytree(self.server.folder, folder, symlinks=True)
            return opening({**self.server.arguments, "path": str(folder), "database": self.name})
        name = f"{PREFIX}kept_{uuid4().hex[:8]}"
        copy_database(self.server, self.name, name)
        self.server.client.command(f"ALTER DATABASE {name} MODIFY COMMENT '{COMMENT} kept'")
        return opening({**self.server.arguments, "database": name})

    def close(self) -> None:
        """Drop the database and all states that were kept."""
        self.forget_snapshots()
        self.server.drop(self.name)


def look(server: ClickhouseServer, database: str) -> State:
    """Return what a database looks like."""
    tables = server.rows(
        "SELECT name, engine, create_table_query, uuid FROM system.tables"
        f" WHERE database = '{database}'"
    )
    return State({row[0]: Table(*row[1:]) for row in tables}, parts_of(server, database))


def parts_of(server: ClickhouseServer, database: str) -> dict[str, set[str]]:
    """Return the names of the parts of each table that has any."""
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for table, part in server.rows(
        f"SELECT table, name FROM system.parts WHERE database = '{database}' AND active"
    ):
        parts[table].add(part)
    return dict(parts)


def copy_database(
    server: ClickhouseServer,
    source: str,
    target: str,
    only: Collection[str] | None = None,
) -> dict[str, str]:
    """Copy a database, or some of its tables. Returns where each table's rows were."""
    state = look(server, source)
    wanted = state.tables.keys() if only is None else only
    statements = {
        name: re.sub(rf"\b{source}\.", f"{target}.", table.statement)
        for name, table in state.tables.items()
        if name in wanted
    }
    rows = {name: source for name in state.parts if name in wanted}
    build(server, target, statements, rows)
    return rows


def build(
    server: ClickhouseServer,
    database: str,
    statements: Mapping[str, str],
    rows: Mapping[str, str],
) -> None:
    """Make a database with these tables, and give them the rows that other databases have."""
    server.create(database)
    # A view comes after the tables it is made from.
    mentioned = re.compile(rf"\b{database}\.`?(\w+)")
    order = {
        name: (set(mentioned.findall(statement)) & statements.keys()) - {name}
        for name, statement in statements.items()
    }
    for name in TopologicalSorter(order).static_order():
        server.client.command(statements[name])
        if name in rows:
            copy_rows(server, rows[name], database, name)


def copy_rows(server: ClickhouseServer, source: str, target: str, table: str) -> None:
    """Add the rows of a table to the same table in another database. Its parts are shared."""
    server.client.command(
        f"ALTER TABLE {target}.`{table}` ATTACH PARTITION ALL FROM {source}.`{table}`"
    )


def opening(arguments: Mapping[str, object]) -> str:
    """Return the command that opens a database in Python."""
    options = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    code = f"import clickhouse_connect; client = clickhouse_connect.get_client({options})"
    return f'python -ic "{code}"'
