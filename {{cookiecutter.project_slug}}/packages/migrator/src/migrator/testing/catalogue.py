"""What tests compare besides the catalogue: rows, and the constraints that models describe."""

import sqlalchemy as sa
from sqlalchemy import Connection

from migrator.catalogue import Catalogue, read_catalogue
from migrator.engine import expected_warnings
from migrator.history import OWN_TABLES

__all__ = ["Catalogue", "count_rows", "read_catalogue", "read_constraints"]


def count_rows(connection: Connection) -> dict[str, int]:
    """Return how many rows each table has, without those of the migrations themselves."""
    names = set(sa.inspect(connection).get_table_names())
    tables = [sa.table(name) for name in sorted(names - {*OWN_TABLES})]
    counts = {
        it.name: connection.scalar(sa.select(sa.func.count()).select_from(it)) or 0 for it in tables
    }
    connection.rollback()
    return counts


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
