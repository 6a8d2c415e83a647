"""The table that tells which revision was begun when, by whom, and from which text.

ClickHouse has no transactions, so the row of a revision is written before the revision runs. If
the version table does not agree with it, the run was killed and has to be repeated.
"""

import socket

from alembic.script import Script
from sqlalchemy import Connection, inspect, text

from placeholder_service.db.migrate.history import (
    Direction,
    Entry,
    checksum,
    user,
)

CREATE = text("""
    CREATE TABLE IF NOT EXISTS migration_history (
        revision String,
        direction String,
        checksum String,
        applied_at DateTime64(6, 'UTC') DEFAULT now64(6),
        applied_by String
    )
    ENGINE = MergeTree
    ORDER BY applied_at
""")
INSERT = text("""
    INSERT INTO migration_history (revision, direction, checksum, applied_by)
    VALUES (:revision, :direction, :checksum, :applied_by)
""")
SELECT = text("""
    SELECT revision, direction, checksum, applied_at, applied_by FROM migration_history
    ORDER BY applied_at
""")


def note(connection: Connection, script: Script, direction: Direction) -> None:
    """Write down that a revision is about to run, or that its edited text was accepted."""
    connection.execute(CREATE)
    row = {
        "revision": script.revision,
        "direction": direction,
        "checksum": checksum(script),
        "applied_by": f"{user()}@{socket.gethostname()}",
    }
    connection.execute(INSERT, row)


def entries(connection: Connection) -> dict[str, Entry]:
    """Return the latest entry of each revision; none before the first run that wrote one."""
    if not inspect(connection).has_table("migration_history"):
        return {}
    rows = connection.execute(SELECT).mappings()
    return {row["revision"]: Entry(**row, seconds=None) for row in rows}
