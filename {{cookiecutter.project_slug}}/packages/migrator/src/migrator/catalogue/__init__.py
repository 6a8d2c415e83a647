"""The contents of a database, read from its own catalogue.

A comparison of metadata misses what models do not know: types, sequences, triggers. The catalogue
has them all, and reading it needs no pg_dump of the server's version.
"""

from sqlalchemy import Connection

from migrator.catalogue.postgresql import catalogue_query
from migrator.catalogue.sqlite import flatten, read_parts
from migrator.history import OWN_TABLES

CLICKHOUSE = """
    SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()
"""

# Kind, name and definition: on PostgreSQL, one for each property of an object; on SQLite, one for
# each part of a table.
Catalogue = set[tuple[str, str, str]]


def read_catalogue(connection: Connection) -> Catalogue:
    """Return kind, name and definition of everything in the database but the migrations' own."""
    found = set(read_rows(connection))
    connection.rollback()
    return found


def read_rows(connection: Connection) -> list[tuple[str, str, str]]:
    """Return the same within the transaction of the caller."""
    match connection.dialect.name:
        case "postgresql":
            # As it stands: a colon in it is no parameter.
            rows = connection.exec_driver_sql(catalogue_query(connection))
            return [(kind, name, text) for kind, name, text in rows]
        case "sqlite":
            parts = read_parts(connection).items()
            return [(kind, name, flatten(definition)) for (kind, name), (_, definition) in parts]
    rows = connection.exec_driver_sql(CLICKHOUSE)
    return [("table", name, text) for name, text in rows if name not in OWN_TABLES]
