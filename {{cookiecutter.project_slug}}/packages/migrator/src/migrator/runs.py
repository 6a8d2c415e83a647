"""Runs revisions through Alembic, and retries when only a lock was missing."""

import logging
import sqlite3
import time
from collections.abc import Callable

from alembic.config import Config
from sqlalchemy.exc import DBAPIError

from migrator.errors import LockTimeoutError

log = logging.getLogger(__name__)

LOCK_NOT_AVAILABLE = "55P03"

# Seconds before each retry. Queries that queued behind the run pass meanwhile.
PAUSES = (0.5, 1, 2, 4)


def run(
    action: Callable[[Config, str], object], config: Config, revision: str, *, may_retry: bool
) -> None:
    """Run an Alembic command, and retry it after a lock timeout if `may_retry`.

    On PostgreSQL every revision commits on its own, so a retry continues after the last one that
    succeeded. A SQLite file is not retried: the run has already waited for it.

    Raises:
        LockTimeoutError: Another session kept a lock.
    """
    # A retry would count relative steps from where the database is then.
    pauses = iter(PAUSES if may_retry and not revision.startswith(("+", "-")) else ())
    while True:
        try:
            action(config, revision)
        except DBAPIError as error:
            if not is_lock_timeout(error):
                raise
            is_file = isinstance(error.orig, sqlite3.Error)
            pause = next(pauses, None)
            if pause is None or is_file:
                reason = str(error.orig).strip().partition("\n")[0]
                raise LockTimeoutError(
                    f"another session holds a lock this migration needs ({reason})",
                    "wait_seconds" if is_file else "lock_timeout_ms",
                ) from error
            log.warning("Another session holds a lock; trying again in %g s.", pause)
            time.sleep(pause)
        else:
            return


def is_lock_timeout(error: DBAPIError) -> bool:
    """Return whether a statement failed only because it waited too long for a lock."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return getattr(error.orig, "sqlstate", "") == LOCK_NOT_AVAILABLE or code == sqlite3.SQLITE_BUSY
