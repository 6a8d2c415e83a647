"""Runs revisions through Alembic, and retries when only a lock was missing."""

import logging
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from itertools import count

from alembic.config import Config
from sqlalchemy.exc import DBAPIError

from migrator.engine import is_lock_timeout
from migrator.errors import LockTimeoutError, MigrationError, RefusedError

log = logging.getLogger(__name__)

# Seconds before the second attempt, on average. Each later pause is twice as long.
FIRST_PAUSE = 0.5


def pauses(tries: int, seconds: float) -> Iterator[float]:
    """Yield how many seconds to wait before each retry of something that needs a lock.

    Queries that queued behind the run pass meanwhile. Jitter keeps several runs from trying in
    step.

    Args:
        tries: The number of attempts; 1 for no retry.
        seconds: The time after which none begins.
    """
    end = time.monotonic() + seconds
    for number in range(tries - 1):
        pause = FIRST_PAUSE * 2**number * random.uniform(0.5, 1.5)  # noqa: S311  # no secret
        if time.monotonic() + pause > end:
            return
        yield pause


def run(
    action: Callable[[Config, str], object], config: Config, revision: str, retries: Iterator[float]
) -> None:
    """Run an Alembic command, and retry it after a lock timeout.

    On PostgreSQL every revision commits on its own, so a retry continues after the last one that
    succeeded. A SQLite file is not retried: the run has already waited for it.

    Raises:
        LockTimeoutError: Another session kept a lock.
        RefusedError: The state of the database was refused before anything changed.
        MigrationError: It was refused between two attempts.
    """
    # A retry would count relative steps from where the database is then.
    is_relative = revision.startswith(("+", "-"))
    for attempt in count(1):
        try:
            action(config, revision)
        except DBAPIError as error:
            if not is_lock_timeout(error):
                raise
            is_file = isinstance(error.orig, sqlite3.Error)
            reason = str(error.orig).strip().partition("\n")[0]
            blockers = "; ".join(getattr(error, "__notes__", ())) or reason
            pause = None if is_file or is_relative else next(retries, None)
            if pause is None:
                raise LockTimeoutError(
                    f"another session holds a lock this migration needs ({blockers})",
                    "wait_seconds" if is_file else "lock_timeout_ms",
                ) from error
            log.warning("Waiting for a lock (%s); trying again in %.1f s.", blockers, pause)
            time.sleep(pause)
        except RefusedError as error:
            if attempt == 1:
                raise
            # Another run came between two attempts, and the first may have applied revisions.
            raise MigrationError(str(error)) from error
        else:
            return
