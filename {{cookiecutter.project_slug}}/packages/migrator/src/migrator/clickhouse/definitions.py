"""What the definitions of ClickHouse's tables say, in the spelling of the server."""

import re

from clickhouse_connect.cc_sqlalchemy.sql import sqlparse
from sqlalchemy import Connection

from migrator.catalogue import CLICKHOUSE, Catalogue

COLUMN = re.compile(r"`((?:[^`\\]|\\.)*)`")


def read_parts(connection: Connection, tables: set[str]) -> Catalogue:
    """Return each column of some tables, and what follows the columns: engine, keys, TTL, comment.

    The order of columns does not matter. Data skipping indexes, projections and constraints are
    left out, because tables of SQLAlchemy cannot have those of ClickHouse.
    """
    found = set()
    for table, definition in connection.exec_driver_sql(CLICKHOUSE):
        if table in tables:
            body, end = sqlparse.extract_parenthesized_block(definition, 0)
            found.add(("table", table, definition[end + 1 :].strip()))
            found |= {
                ("column", f"{table}.{match[1]}", part)
                for part in sqlparse.split_top_level(body)
                if (match := COLUMN.match(part))
            }
    return found
