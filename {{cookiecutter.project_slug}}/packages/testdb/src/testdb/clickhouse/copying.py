"""Copies of databases and of rows."""

import re
from collections.abc import Collection, Mapping
from graphlib import TopologicalSorter

from .server import ClickhouseServer
from .state import State, Table, look, quoted, tables_with_rows


def copy_database(
    server: ClickhouseServer,
    source: str,
    target: str,
    only: Collection[str] | None = None,
) -> dict[str, str]:
    """Copy a database, or some of its tables. Returns where each table's rows were."""
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


def flush_buffers(server: ClickhouseServer, database: str, state: State) -> State:
    """Write the rows in buffers to the tables behind them, and return the new state."""
    buffers = [table for table in state.tables.values() if table.engine == "Buffer"]
    for table in buffers:
        server.client.command(f"OPTIMIZE TABLE {database}.{quoted(table.storage)}")
    return look(server, database) if buffers else state
