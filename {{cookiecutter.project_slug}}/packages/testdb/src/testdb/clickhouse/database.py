"""ClickHouse databases: copied from a migrated one, and put back after each test.

Putting back is not copying again. ClickHouse keeps the rows of a table in parts, which never
change: what a test writes, changes or deletes makes new parts. So the names of the parts tell which
tables are not what they were, and only those get their first rows again. If the schema is another
one, all of it is copied again; so it is where rows are not kept in parts, and after a test that
loaded a dictionary.
"""

import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from alembic.config import Config
from sqlalchemy import Engine

from ..migrations import migrate
from ..queries import own_engine
from ..signature import COMMENT, PREFIX
from .copying import build, copy_database, copy_rows, flush_buffers
from .sent import sent
from .server import ClickhouseServer
from .state import (
    State,
    has_loaded_dictionaries,
    look,
    look_at_parts,
    quoted,
    tables_with_rows,
)


@dataclass
class Kept:
    """A state that can be restored."""

    copy: str  # a database with what had to be copied
    state: State
    rows: Mapping[str, str]  # for each table that has rows, the full name of one with a copy


def make_migrated(server: ClickhouseServer, alembic: Config, name: str) -> None:
    """Make a database and apply all migrations, which others are copied from."""
    server.create(name)
    with engine_on(server, name).connect() as connection:
        migrate(alembic, connection)
    flush_buffers(server, name, look(server, name))
    server.first_strays = server.find_strays()


def engine_on(server: ClickhouseServer, database: str) -> Engine:
    """Return SQLAlchemy's way to a database."""
    arguments = {**server.arguments, "database": database}
    return own_engine("clickhousedb+connect://", connect_args=arguments)


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
        self.is_first = False

    def look(self) -> State:
        """Return what the database looks like now."""
        return look(self.server, self.name)

    def reset(self) -> str:
        """Go back to the first state. Returns what was needed: nothing, rows or copy."""
        needed = self.put_back(self.first) if self.may_differ() else "nothing"
        # What is written in the background shows when the next test is over.
        self.is_first = needed == "nothing"
        sent.forget()
        return needed

    def may_differ(self) -> bool:
        """Tell whether the database may be in another state than the first."""
        return (
            self.server.folder is None
            or bool(sent.inserts or sent.others)
            or not self.is_first
            or any(table.is_restless for table in self.first.state.tables.values())
        )

    def put_back(self, kept: Kept) -> str:
        """Go back to a state that was kept. Returns what was needed: nothing, rows or copy."""
        then = kept.state
        if kept is self.first and self.server.folder is not None and not sent.others:
            # Only rows were added, which leaves all tables there.
            now = State(then.tables, look_at_parts(self.server, self.name, then.tables))
        else:
            now = self.look()
        if (
            now.tables != then.tables
            or any(table.hides_rows for table in now.tables.values())
            or has_loaded_dictionaries(self.server, self.name, now)
        ):
            # A test may have dropped it.
            if self.name in self.server.databases():
                self.server.drop(self.name)
            build(self.server, self.name, then.tables, kept.rows)
            kept.state = self.look()
            return "copy"
        changed = {
            table
            for table in now.parts.keys() | then.parts.keys()
            if now.parts.get(table) != then.parts.get(table)
        }
        for name in changed:
            table = now.tables[name]
            self.server.client.command(f"TRUNCATE TABLE {self.name}.{quoted(table.storage)}")
            if name in kept.rows:
                copy_rows(self.server, kept.rows[name], self.name, table)
        if changed & kept.rows.keys():
            # The same rows, in new parts.
            kept.state = State(now.tables, look_at_parts(self.server, self.name, now.tables))
        return "rows" if changed else "nothing"

    def snapshot(self, name: str) -> None:
        """Keep the present state under a name. Tables that have their first rows need no copy."""
        if name in self.snapshots:
            self.server.drop(self.snapshots.pop(name).copy)
        state, first = flush_buffers(self.server, self.name, self.look()), self.first.state
        copy = f"{PREFIX}{self.server.run}_{uuid4().hex[:8]}"
        self.server.create(copy)
        rows = {}
        for table in tables_with_rows(state):
            found, parts = state.tables[table], state.parts.get(table)
            if parts and (found, parts) == (first.tables.get(table), first.parts.get(table)):
                rows[table] = self.first.rows[table]
                continue
            source, rows[table] = f"{self.name}.{quoted(found.storage)}", f"{copy}.{quoted(table)}"
            if parts:
                self.server.client.command(f"CREATE TABLE {rows[table]} CLONE AS {source}")
            else:
                self.server.client.command(f"CREATE TABLE {rows[table]} AS {source}")
                copy_rows(self.server, source, copy, found._replace(storage=table))
        self.snapshots[name] = Kept(copy, state, rows)

    def restore(self, name: str) -> None:
        """Go back to a state that was kept."""
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


def opening(arguments: Mapping[str, object]) -> str:
    """Return the command that opens a database in Python."""
    options = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    code = f"import clickhouse_connect; client = clickhouse_connect.get_client({options})"
    return f'python -ic "{code}"'
