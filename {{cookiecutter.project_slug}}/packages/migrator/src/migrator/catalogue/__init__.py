"""The contents of a database, read from its own catalogue.

A comparison of metadata misses what models do not know: types, sequences, triggers. The catalogue
has them all, and reading it needs no pg_dump of the server's version.
"""

import re

from sqlalchemy import Connection

from migrator.catalogue.postgresql import catalogue_query
from migrator.history import OWN_TABLES

QUERIES = {
    "sqlite": """
        SELECT type, name, sql, tbl_name FROM sqlite_master
        WHERE substr(name, 1, 7) <> 'sqlite_'
    """,
    "clickhousedb": """
        SELECT 'table', name, create_table_query, name FROM system.tables
        WHERE database = currentDatabase()
    """,
}

# Kind, name and definition; on PostgreSQL, one for each property of an object.
Catalogue = set[tuple[str, str, str]]


def read_catalogue(connection: Connection) -> Catalogue:
    """Return kind, name and definition of everything in the database but the migrations' own."""
    rows = read_rows(connection)
    connection.rollback()
    is_postgresql = connection.dialect.name == "postgresql"
    return {
        (kind, name, definition if is_postgresql else normalise(definition))
        for kind, name, definition in rows
    }


def read_rows(connection: Connection) -> list[tuple[str, str, str]]:
    """Return the same as the database has it, within the transaction of the caller."""
    if connection.dialect.name == "postgresql":
        # As it stands: a colon in it is no parameter.
        rows = connection.exec_driver_sql(catalogue_query(connection))
        return [(kind, name, text) for kind, name, text in rows]
    rows = connection.exec_driver_sql(QUERIES[connection.dialect.name])
    return [(kind, name, text) for kind, name, text, table in rows if table not in OWN_TABLES]


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
