"""The contents of a database, read from its own catalogue.

A comparison of metadata misses what models do not know: types, sequences, triggers. The catalogue
has them all, and reading it needs no pg_dump of the server's version.
"""

import re

import sqlalchemy as sa
from sqlalchemy import Connection

from migrator.engine import expected_warnings
from migrator.history import OWN_TABLES
from migrator.testing.postgresql import catalogue_query

# The tables of the migrations themselves, and whatever belongs to them.
INFRASTRUCTURE = re.compile("|".join(OWN_TABLES))

QUERIES = {
    "sqlite": """
        SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'
    """,
    "clickhousedb": """
        SELECT 'table', name, create_table_query FROM system.tables
        WHERE database = currentDatabase()
    """,
}

# Kind, name and definition; on PostgreSQL, one for each property of an object.
Catalogue = set[tuple[str, str, str]]


def read_catalogue(connection: Connection) -> Catalogue:
    """Return kind, name and definition of everything in the database but the migrations' own."""
    is_postgresql = connection.dialect.name == "postgresql"
    query = catalogue_query(connection) if is_postgresql else QUERIES[connection.dialect.name]
    # As it stands: a colon in it is no parameter.
    rows = connection.exec_driver_sql(query).all()
    connection.rollback()
    return {
        (kind, name, definition if is_postgresql else normalise(definition))
        for kind, name, definition in rows
        if not INFRASTRUCTURE.search(name)
    }


def normalise(definition: str) -> str:
    """Return a definition with its parts sorted, without quotes and redundant brackets.

    SQLite keeps the text of CREATE TABLE. Where Alembic rebuilds a table, names get quotes,
    defaults get brackets, constraints come in any order, a different one in each run, and a column
    that a downgrade brings back comes last.
    """
    definition = definition.replace('"', "")
    if not definition.startswith("CREATE TABLE"):
        return definition
    definition = re.sub(r"DEFAULT \(([^()]*)\)", r"DEFAULT \1", definition)
    head, _, rest = definition.partition("(")
    body, _, tail = rest.rpartition(")")
    parts, depth, is_text = [""], 0, False
    for sign in body:
        is_text ^= sign == "'"
        depth += 0 if is_text else (sign == "(") - (sign == ")")
        if sign == "," and not depth and not is_text:
            parts.append("")
        else:
            parts[-1] += sign
    lines = sorted(not_null_last(" ".join(part.split())) for part in parts)
    return "\n".join([f"{head.strip()} (", *lines, f"){tail}"])


def not_null_last(part: str) -> str:
    """Return a column with NOT NULL behind its default, whichever a batch wrote first."""
    if part.startswith("CONSTRAINT") or " NOT NULL" not in part:
        return part
    return part.replace(" NOT NULL", "", 1) + " NOT NULL"


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

    Unlike the catalogue of SQLite, this does not depend on how a table was created.
    """
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
