"""The catalogue that tests compare, and the constraints and indexes that models describe."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from migrator.catalogue import Catalogue, read_catalogue
from migrator.engine import expected_warnings
from migrator.tabletext import tokenize, without_brackets, words

__all__ = ["Catalogue", "read_catalogue", "read_constraints", "read_indexes"]

INDEXES = {
    "sqlite": "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'index' AND sql <> ''",
    "postgresql": """
        SELECT owner.relname, made.relname, pg_get_indexdef(indexrelid) FROM pg_index
        JOIN pg_class AS owner ON owner.oid = indrelid
        JOIN pg_class AS made ON made.oid = indexrelid
        WHERE pg_table_is_visible(indrelid)
    """,
}


def read_constraints(connection: Connection, tables: set[str]) -> Catalogue:
    """Return kind, `table.name` and definition of constraints and generated columns of tables.

    Unlike the catalogue of SQLite, this does not depend on how a table was created. On ClickHouse,
    it is everything that the definition of a table says, in any order of its columns.
    """
    if connection.dialect.name == "clickhousedb":
        from migrator.clickhouse.definitions import read_parts

        return read_parts(connection, tables)
    inspector = sa.inspect(connection)
    found = set()
    with expected_warnings():
        for table in tables & set(inspector.get_table_names()):
            key = inspector.get_pk_constraint(table)
            found.add(("primary key", f"{table}.{key['name']}", str(key["constrained_columns"])))
            for check in inspector.get_check_constraints(table):
                found.add(("check", f"{table}.{check['name']}", check["sqltext"]))
            for column in inspector.get_columns(table):
                if computed := column.get("computed"):
                    found.add(("generated", f"{table}.{column['name']}", computed["sqltext"]))
            for unique in inspector.get_unique_constraints(table):
                found.add(("unique", f"{table}.{unique['name']}", str(unique["column_names"])))
            for foreign in inspector.get_foreign_keys(table):
                definition = (
                    f"{foreign['constrained_columns']} → {foreign['referred_table']}"
                    f" {foreign['referred_columns']} {sorted(foreign.get('options', {}).items())}"
                )
                found.add(("foreign key", f"{table}.{foreign['name']}", definition))
    connection.rollback()
    return found


def read_indexes(connection: Connection, tables: set[str]) -> dict[str, tuple[str, str, str]]:
    """Return kind, `table.name` and definition of the indexes of tables, by `table.name`.

    The transaction goes on.
    """
    if connection.dialect.name not in INDEXES:
        return {}
    rows: Sequence[Any] = connection.execute(sa.text(INDEXES[connection.dialect.name])).all()
    if connection.dialect.name == "sqlite":
        rows = [(table, name, as_words(sql)) for table, name, sql in rows]
    keys = {f"{table}.{name}": definition for table, name, definition in rows if table in tables}
    return {key: ("index", key, definition) for key, definition in keys.items()}


def as_words(sql: str) -> str:
    """Return what an index has, which SQLite keeps in the words of the statement."""
    numbers = {"true": "1", "false": "0"}
    found = without_brackets(words(tokenize(sql[sql.index("(") :])))
    return " ".join(numbers.get(it, it) for it in found)
