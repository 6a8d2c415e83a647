"""Runs ClickHouse's revisions, up and down, so that a run that was killed can be repeated.

ClickHouse has no transactions: what a killed run has done stays done. Revisions say IF [NOT]
EXISTS, and the next run does the unfinished step once more.
"""

import time
from contextlib import nullcontext

from alembic import command
from sqlalchemy import Connection, text

from placeholder_service.analytics.migrate import history
from placeholder_service.analytics.migrate.config import alembic_config
from placeholder_service.analytics.migrate.connections import only_run
from placeholder_service.analytics.migrate.state import (
    current_revisions,
    pending_until,
    status,
    to_take_back,
)
from placeholder_service.db.migrate.history import Report

INSERT = text("INSERT INTO alembic_version (version_num) VALUES (:revision)")
DELETE = text("""
    ALTER TABLE alembic_version DELETE WHERE version_num = :revision SETTINGS mutations_sync = 2
""")


def upgrade(
    revision: str = "head",
    connection: Connection | None = None,
    report: Report | None = None,
) -> None:
    """Apply revisions up to and including `revision`.

    A connection of the caller's is that of a test: it gets no history.

    Raises:
        LockTimeoutError: Another run did not end in time.
        UnknownRevisionError: There is no such revision.
        UnreachableError: ClickHouse cannot be reached.
        sqlalchemy.exc.SQLAlchemyError: ClickHouse refused a statement; those before it are done.
    """
    with only_run() if connection is None else nullcontext(connection) as found:
        before = status(found)
        pending = pending_until(before, revision)
        if pending:
            settle(found, before.revisions)
        for script in pending:
            started = time.monotonic()
            if connection is None:
                history.note(found, script, "upgrade")
            command.upgrade(alembic_config(found), script.revision)
            if report is not None:
                report(script, time.monotonic() - started)


def downgrade(
    revision: str = "-1",
    connection: Connection | None = None,
    report: Report | None = None,
) -> None:
    """Roll back to `revision`: a number of steps such as -1, a revision, or `base`.

    Raises:
        The same as `upgrade`.
    """
    with only_run() if connection is None else nullcontext(connection) as found:
        before = status(found)
        doomed = to_take_back(before, revision)
        if doomed:
            settle(found, before.reached)
        for script in doomed:
            started = time.monotonic()
            if connection is None:
                history.note(found, script, "downgrade")
            command.downgrade(alembic_config(found), str(script.down_revision or "base"))
            if report is not None:
                report(script, time.monotonic() - started)
        if not current_revisions(found):
            # Back at an empty schema, nothing is left of the migrations.
            found.execute(text("DROP TABLE IF EXISTS migration_history"))
            found.execute(text("DROP TABLE IF EXISTS alembic_version"))


def settle(connection: Connection, revisions: tuple[str, ...]) -> None:
    """Make the version table say what a run starts from, after one that was killed."""
    rows = current_revisions(connection)
    if set(rows) == set(revisions):
        return
    command.ensure_version(alembic_config(connection))
    for revision in set(revisions).difference(rows):
        connection.execute(INSERT, {"revision": revision})
    for revision in set(rows).difference(revisions):
        connection.execute(DELETE, {"revision": revision})
