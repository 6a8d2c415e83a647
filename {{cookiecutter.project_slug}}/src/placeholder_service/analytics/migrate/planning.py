"""What a run would execute, and what a downgrade would delete. Nothing is changed."""

import re
from collections.abc import Callable
from io import StringIO

from alembic import command
from sqlalchemy import Connection

from placeholder_service.analytics.migrate.config import alembic_config
from placeholder_service.analytics.migrate.state import ClickHouseStatus
from placeholder_service.db.migrate.losses import Loss, columns, count

# A table that goes, and what goes of one.
TABLE = re.compile(r"(?:DROP|TRUNCATE)\s+(?:TABLE\s+)?(?:IF\s+EXISTS\s+)?`?(\w+)", re.IGNORECASE)
ALTER = re.compile(r"ALTER\s+TABLE\s+`?(\w+)`?\s(.*)", re.IGNORECASE | re.DOTALL)
COLUMN = re.compile(r"(?:DROP|CLEAR)\s+COLUMN\s+(?:IF\s+EXISTS\s+)?`?(\w+)", re.IGNORECASE)


def upgrade_sql(found: ClickHouseStatus, target: str) -> str:
    """Return the statements of an upgrade from where ClickHouse stands."""
    return sql_of(command.upgrade, found.revisions[0] if found.revisions else "base", target)


def downgrade_sql(found: ClickHouseStatus, target: str) -> str:
    """Return the statements of a downgrade from where ClickHouse stands."""
    return sql_of(command.downgrade, found.reached[0], target)


def sql_of(action: Callable[..., None], start: str, target: str) -> str:
    """Return what Alembic prints with `--sql`."""
    config = alembic_config()
    config.output_buffer = printed = StringIO()
    action(config, f"{start}:{target}", sql=True)
    return printed.getvalue().strip()


def losses(connection: Connection, sql: str) -> list[Loss]:
    """Return what the statements of a downgrade delete.

    Tables and columns that they drop are counted. What they delete row by row is not seen.
    """
    there = columns(connection)
    statements = [part.strip() for part in re.sub("--.*", "", sql).split(";")]
    found = []
    for statement in statements:
        if (match := TABLE.match(statement)) and match[1] in there:
            found.append(Loss(match[1], count(connection, match[1])))
        elif (match := ALTER.match(statement)) and match[1] in there:
            found += [
                Loss(f"{match[1]}.{name}", count(connection, match[1], name))
                for name in COLUMN.findall(match[2])
                if name in there[match[1]]
            ]
    return found
