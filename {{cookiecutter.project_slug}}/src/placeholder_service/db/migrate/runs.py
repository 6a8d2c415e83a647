"""Runs revisions, up and down, and tries again where only a lock was missing."""

import logging
import sqlite3
import time
from collections.abc import Callable

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from placeholder_service.db.migrate.config import alembic_config
from placeholder_service.db.migrate.errors import (
    LockTimeoutError,
    is_lock_timeout,
)
from placeholder_service.db.migrate.history import Report

log = logging.getLogger(__name__)

# Before each further try at a lock that others hold. Queries pass in between.
PAUSES = (0.5, 1, 2, 4)


def upgrade(
    revision: str = "head",
    connection: Connection | None = None,
    report: Report | None = None,
) -> None:
    """Apply revisions up to and including `revision`.

    Raises:
        LockTimeoutError: Somebody held a lock for too long.
        alembic.util.CommandError: The revision is unknown, or there are two heads.
        sqlalchemy.exc.SQLAlchemyError: The database refused; it stands at a whole revision.
    """
    run(command.upgrade, revision, connection, report)


def downgrade(
    revision: str = "-1",
    connection: Connection | None = None,
    report: Report | None = None,
) -> None:
    """Roll back to `revision`: a number of steps such as -1, a revision, or `base`.

    Raises:
        LockTimeoutError: Somebody held a lock for too long.
        alembic.util.CommandError: The revision is unknown, or there is nothing to roll back.
        sqlalchemy.exc.SQLAlchemyError: The database refused; it stands at a whole revision.
    """
    run(command.downgrade, revision, connection, report)


def run(
    action: Callable[[Config, str], object],
    revision: str,
    connection: Connection | None,
    report: Report | None,
) -> None:
    """Run revisions, and try again where only a lock was missing.

    On PostgreSQL every revision commits on its own, so the next try goes on behind the last one
    that worked. It would count steps anew, so these are not tried again; nor is what runs on a
    connection of the caller's, or on a SQLite file, which has been waited for.
    """
    pauses = iter(() if connection is not None or revision.startswith(("+", "-")) else PAUSES)
    while True:
        try:
            action(alembic_config(connection, report), revision)
        except DBAPIError as error:
            if not is_lock_timeout(error):
                raise
            pause = next(pauses, None)
            if pause is None or isinstance(error.orig, sqlite3.Error):
                reason = str(error.orig).strip().partition("\n")[0]
                message = f"somebody holds what the run needs ({reason})"
                is_file = isinstance(error.orig, sqlite3.Error)
                setting = "MIGRATION_WAIT_SECONDS" if is_file else "MIGRATION_LOCK_TIMEOUT_MS"
                raise LockTimeoutError(message, setting) from error
            log.warning("Somebody holds a lock; trying again in %g s.", pause)
            time.sleep(pause)
        else:
            return
