"""What a downgrade of ClickHouse would delete, found in its statements before they run."""

import re

from sqlalchemy import Connection

from migrator.losses import Loss, count, read_columns

# Statements that delete a table, or columns of one.
TABLE = re.compile(r"(?:DROP|TRUNCATE)\s+(?:TABLE\s+)?(?:IF\s+EXISTS\s+)?`?(\w+)", re.IGNORECASE)
ALTER = re.compile(r"ALTER\s+TABLE\s+`?(\w+)`?\s(.*)", re.IGNORECASE | re.DOTALL)
COLUMN = re.compile(r"(?:DROP|CLEAR)\s+COLUMN\s+(?:IF\s+EXISTS\s+)?`?(\w+)", re.IGNORECASE)


def find_losses(connection: Connection, sql: str) -> list[Loss]:
    """Return the tables and columns that statements delete. Deleted rows are not found."""
    present = read_columns(connection)
    found = []
    for statement in (part.strip() for part in re.sub("--.*", "", sql).split(";")):
        if (match := TABLE.match(statement)) and match[1] in present:
            found.append(Loss(match[1], count(connection, match[1])))
        elif (match := ALTER.match(statement)) and match[1] in present:
            found += [
                Loss(f"{match[1]}.{name}", count(connection, match[1], name))
                for name in COLUMN.findall(match[2])
                if name in present[match[1]]
            ]
    return found
