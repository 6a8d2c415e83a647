"""The state of ClickHouse: its revision, and the revision that a killed run left unfinished."""

import time

from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, text

from migrator.history import Entry
from migrator.status import Status, compare
from migrator.status import read_revisions as read_rows

# A row of the version table is deleted by a mutation, which outlives the run that asked for it.
RUNNING = text("""
    SELECT count() FROM system.mutations
    WHERE database = currentDatabase() AND table = 'alembic_version' AND NOT is_done
""")
POLL_SECONDS = 0.05


def read_revisions(connection: Connection) -> tuple[str, ...]:
    """Return the rows of the version table; two if a run was killed between writing them."""
    while connection.scalar(RUNNING):
        time.sleep(POLL_SECONDS)
    return read_rows(connection)


def interpret(scripts: ScriptDirectory, rows: tuple[str, ...], history: dict[str, Entry]) -> Status:
    """Return what the rows of the version table and the history mean together.

    A run records a step, executes it, inserts the new revision, and then deletes the old one. The
    step is unfinished if both revisions are there, or if it was recorded and only the old one is.
    """
    order = [script.revision for script in scripts.walk_revisions()]  # the last one first
    if not set(rows) <= set(order) or len(scripts.get_heads()) > 1:
        # A person has to decide.
        return compare(scripts, rows, history)
    rows = tuple(sorted(rows, key=order.index))
    missing = order[: order.index(rows[0])] if rows else order
    directions = {revision: entry.direction for revision, entry in history.items()}
    unfinished = [revision for revision in missing if directions.get(revision) == "upgrade"]
    if len(rows) > 1 or (rows and directions.get(rows[0]) == "downgrade"):
        unfinished = [rows[0]]
    script = scripts.get_revision(unfinished[-1]) if unfinished else None
    if not isinstance(script, Script):
        return compare(scripts, rows, history)
    if script.revision in rows:
        rows = (str(script.down_revision),) if script.down_revision else ()
    return compare(scripts, rows, history, script)
