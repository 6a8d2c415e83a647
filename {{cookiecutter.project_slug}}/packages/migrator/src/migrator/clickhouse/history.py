"""The table `migration_history` in ClickHouse: which revision began when, by whom, from which text.

ClickHouse has no transactions, so the row of a revision is written before the revision runs. If
the version table disagrees with it, the run was killed and the revision must be repeated.
"""

from alembic.script import Script
from sqlalchemy import Connection, inspect, text

from migrator.history import Direction, Entry, checksum, current_user

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


def record(connection: Connection, script: Script, direction: Direction) -> None:
    """Write that a revision is about to run, or that its edited text was accepted."""
    connection.execute(CREATE)
    row = {
        "revision": script.revision,
        "direction": direction,
        "checksum": checksum(script),
        "applied_by": current_user(),
    }
    connection.execute(INSERT, row)


def read_history(connection: Connection) -> dict[str, Entry]:
    """Return the latest entry of each revision; none before the first recorded run."""
    if not inspect(connection).has_table("migration_history"):
        return {}
    rows = connection.execute(SELECT).mappings()
    return {row["revision"]: Entry(**row, seconds=None) for row in rows}
