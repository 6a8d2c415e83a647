"""What a database looks like: its tables, and the parts that ClickHouse keeps their rows in."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

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
    """What a table is. One that was dropped and made again has another id."""

    # Of a materialized view with rows of its own, that of the table which is made for them.
    engine: str
    statement: str  # which made it
    uuid: UUID
    storage: str  # the name of the table that keeps the rows

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
    """What a database looks like from outside."""

    tables: Mapping[str, Table]  # and views
    parts: Mapping[str, set[str]]  # the names of each table's parts, for those that have any


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
    """Return the names of each table's parts, for those that have any.

    A mutation that is not finished counts as a part: it is about to make some.
    """
    names = {table.storage: name for name, table in tables.items()}
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for storage, part in server.rows(
        f"SELECT table, name FROM system.parts WHERE database = '{database}' AND active"
        " UNION ALL SELECT table, mutation_id FROM system.mutations"
        f" WHERE database = '{database}' AND NOT is_done"
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


def tables_with_rows(state: State) -> list[str]:
    """Return the names of tables with rows to copy."""
    return [
        name
        for name, table in state.tables.items()
        if name in state.parts or table.engine in WITHOUT_PARTS
    ]


def quoted(name: str) -> str:
    """Return a name as it is written in statements."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
