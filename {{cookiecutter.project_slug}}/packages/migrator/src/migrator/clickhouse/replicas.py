"""Tables on all replicas of a cluster, from revisions that also run on a single node.

A database with the engine Replicated executes each statement on every replica, without ON CLUSTER.
What is missing then are the engines that replicate rows, of all tables: also those in which the
migrations store their state, or each replica would have another one.
"""

import re
from typing import Any

from sqlalchemy import Connection, event, text

from migrator.errors import RefusedError

# clickhouse-connect leaves out the sign.
ENGINE = re.compile(r"\bENGINE(\s*=\s*|\s+)(?!Replicated|Shared)(\w*MergeTree)\b", re.IGNORECASE)
DATABASE = text("SELECT name, engine FROM system.databases WHERE name = currentDatabase()")


def replicate(statement: str) -> str:
    """Return a statement whose MergeTree tables are replicated; they name no path and replica."""
    return ENGINE.sub(r"ENGINE\1Replicated\2", statement)


def replicate_tables(connection: Connection) -> None:
    """Let a connection create replicated tables.

    Raises:
        RefusedError: Its database would have them on one replica only.
    """
    name, engine = connection.execute(DATABASE).one()
    if engine != "Replicated":
        raise RefusedError(
            f"the database {name} has the engine {engine}, not Replicated, so its tables would not"
            " be on all replicas. Next: CREATE DATABASE … ENGINE = Replicated, on each replica"
        )

    @event.listens_for(connection, "before_cursor_execute", retval=True)
    def execute(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> tuple[str, Any]:
        return replicate(statement), parameters
