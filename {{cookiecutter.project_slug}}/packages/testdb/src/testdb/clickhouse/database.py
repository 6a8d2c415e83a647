"""ClickHouse databases: copied from a migrated one, and put back after each test.

Putting back is not copying again. ClickHouse keeps the rows of a table in parts, which never
change: what a test writes, changes or deletes makes new parts. So the names of the parts tell which
tables are not what they were, and only those get their first rows again. If the schema is another
one, all of it is copied again; so it is where rows are not kept in parts, and after a test that
loaded a dictionary.
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
from ..queries import OWN_ENGINE
from ..signature import COMMENT, PREFIX
from .sent import sent
from .server import ClickhouseServer

# Engines without parts whose rows are copied by a query, and engines without rows of their own. All
# others, such as Buffer, may have rows that nothing tells of.
WITHOUT_PARTS = ("EmbeddedRocksDB", "Join", "Log", "Memory", "StripeLog", "TinyLog")
WITHOUT_ROWS = (
    "Alias",
    "Dictionary",
    "GenerateRandom",
    "MaterializedView",
    "Merge",
    "Null",
    "View",
)


class Table(NamedTuple):
    """What a table is. One that was dropped and made again has another id.

    Attributes:
        engine: What keeps the rows; of a materialized view with rows of its own, that of the table
            which ClickHouse makes for them.
        statement: What made it.
        uuid: Its id.
        storage: The name of the table that keeps the rows.
    """

    engine: str
    statement: str
    uuid: UUID
    storage: str

    @property
    def is_restless(self) -> bool:
        """Whether what is only read changes it, or nothing at all does."""
        refreshes = re.match(r"CREATE MATERIALIZED VIEW \S+ REFRESH ", self.statement)
        return self.hides_rows or self.engine == "Dictionary" or refreshes is not None

    @property
    def hides_rows(self) -> bool:
        """Whether it may have rows that are in no part."""
        return not self.engine.endswith("MergeTree") and self.engine not in WITHOUT_ROWS


@dataclass(frozen=True)
class State:
    """What a database looks like from outside.

    Attributes:
        tables: All tables and views.
        parts: The names of each table's parts, for those that have any, by the table's name.
    """

    tables: Mapping[str, Table]
    parts: Mapping[str, set[str]]


@dataclass
class Kept:
    """A state that can be restored.

    Attributes:
        copy: A database with what had to be copied.
        state: What the database looks like in this state.
        rows: Where there is a copy of each table that has rows: the full name of a table.
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
    flush_buffers(server, name, look(server, name))


def engine_on(server: ClickhouseServer, database: str) -> sa.Engine:
    """Return SQLAlchemy's way to a database."""
    return sa.create_engine(
        "clickhousedb+connect://",
        poolclass=NullPool,
        logging_name=OWN_ENGINE,
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
    found = {
        name: Table(engine, statement, uuid, name)
        for name, engine, statement, uuid in server.rows(
            "SELECT name, engine, create_table_query, uuid FROM system.tables"
            f" WHERE database = '{database}'"
        )
        # Where a refresh of a view is under way.
        if not name.startswith(".tmp.inner")
    }
    # The table that keeps the rows of a materialized view has the view's id as its name.
    inner = {f".inner_id.{table.uuid}": name for name, table in found.items()}
    for storage in found.keys() & inner.keys():
        engine, view = found.pop(storage).engine, inner[storage]
        found[view] = found[view]._replace(engine=engine, storage=storage)
    return State(found, look_at_parts(server, database, found))


def look_at_parts(
    server: ClickhouseServer, database: str, tables: Mapping[str, Table]
) -> dict[str, set[str]]:
    """Return the names of each table's parts, for those that have any."""
    names = {table.storage: name for name, table in tables.items()}
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for storage, part in server.rows(
        f"SELECT table, name FROM system.parts WHERE database = '{database}' AND active"
    ):
        parts[names.get(storage, storage)].add(part)
    return dict(parts)


def has_loaded_dictionaries(server: ClickhouseServer, database: str, state: State) -> bool:
    """Tell whether a dictionary has read rows, which it would keep for the next test."""
    if all(table.engine != "Dictionary" for table in state.tables.values()):
        return False
    return bool(
        server.rows(
            f"SELECT name FROM system.dictionaries WHERE database = '{database}'"
            " AND status <> 'NOT_LOADED'"
        )
    )


def flush_buffers(server: ClickhouseServer, database: str, state: State) -> State:
    """Write the rows in buffers to the tables behind them, and return the new state."""
    buffers = [table for table in state.tables.values() if table.engine == "Buffer"]
    for table in buffers:
        server.client.command(f"OPTIMIZE TABLE {database}.{quoted(table.storage)}")
    return look(server, database) if buffers else state


def tables_with_rows(state: State) -> list[str]:
    """Return the names of tables with rows to copy."""
    return [
        name
        for name, table in state.tables.items()
        if name in state.parts or table.engine in WITHOUT_PARTS
    ]


def copy_database(
    server: ClickhouseServer,
    source: str,
    target: str,
    only: Collection[str] | None = None,
) -> dict[str, str]:
    """Copy a database, or some of its tables. Returns where each table's rows were.

    Raises:
        RuntimeError: A table has rows that ClickHouse does not let copy.
    """
    refuse_sets(server, source)
    state = look(server, source)
    wanted = state.tables.keys() if only is None else only
    # Engines have the name of the database as a text: Buffer('source', 'table', ...).
    tables = {
        name: table._replace(statement=re.sub(rf"\b{source}\b", target, table.statement))
        for name, table in state.tables.items()
        if name in wanted
    }
    rows = {
        name: f"{source}.{quoted(state.tables[name].storage)}"
        for name in tables_with_rows(state)
        if name in wanted
    }
    build(server, target, tables, rows)
    return rows


def refuse_sets(server: ClickhouseServer, database: str) -> None:
    """Refuse to copy a table whose rows cannot be read."""
    for (name,) in server.rows(
        "SELECT name FROM system.tables"
        f" WHERE database = '{database}' AND engine = 'Set' AND total_rows > 0"
    ):
        raise RuntimeError(
            f"the table {name} has the engine Set and rows that a migration wrote. ClickHouse does"
            " not let them be read, so they cannot be copied for tests: use Join, or write them in"
            " the tests that need them"
        )


def build(
    server: ClickhouseServer,
    database: str,
    tables: Mapping[str, Table],
    rows: Mapping[str, str],
) -> None:
    """Make a database with these tables, and give them the rows that other tables have."""
    server.create(database)
    # A view comes after the tables it is made from. They have their rows then: it adds none.
    order = {
        name: mentioned(database, table.statement) & tables.keys() - {name}
        for name, table in tables.items()
    }
    for name in TopologicalSorter(order).static_order():
        server.client.command(without_refresh(tables[name].statement))
        if name in rows:
            has_storage_of_its_own = tables[name].storage != name
            there = look(server, database).tables if has_storage_of_its_own else tables
            copy_rows(server, rows[name], database, there[name])


def mentioned(database: str, statement: str) -> set[str]:
    """Return the names of all tables of a database that a statement mentions."""
    as_name, as_text = r"`((?:[^`\\]|\\.)+)`|(\w+)", r"'((?:[^'\\]|\\.)+)'"
    names = re.findall(rf"\b{database}\.(?:{as_name})|'{database}', {as_text}", statement)
    return {re.sub(r"\\(.)", r"\1", "".join(name)) for name in names}


def without_refresh(statement: str) -> str:
    """Keep a view that refreshes itself from doing so at once: its rows are copied."""
    if not re.match(r"CREATE MATERIALIZED VIEW \S+ REFRESH ", statement):
        return statement
    return re.sub(r" AS (SELECT|WITH) ", r" EMPTY AS \1 ", statement, count=1)


def copy_rows(server: ClickhouseServer, source: str, target: str, table: Table) -> None:
    """Add the rows of a table to another one in the target database. Its parts are shared."""
    name = f"{target}.{quoted(table.storage)}"
    if table.engine.endswith("MergeTree"):
        server.client.command(f"ALTER TABLE {name} ATTACH PARTITION ALL FROM {source}")
    else:
        server.client.command(f"INSERT INTO {name} SELECT * FROM {source}")


def quoted(name: str) -> str:
    """Return a name as it is written in statements."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def opening(arguments: Mapping[str, object]) -> str:
    """Return the command that opens a database in Python."""
    options = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    code = f"import clickhouse_connect; client = clickhouse_connect.get_client({options})"
    return f'python -ic "{code}"'
