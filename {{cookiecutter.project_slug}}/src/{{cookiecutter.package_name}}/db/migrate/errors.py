"""What stops a migration run, beyond what the database or a revision raises."""

import sqlite3

from sqlalchemy.exc import DBAPIError

LOCK_NOT_AVAILABLE = "55P03"


class RefusedError(Exception):
    """Nothing was changed, because a person has to decide. The message says what to do."""


class UnknownRevisionError(Exception):
    """A revision was asked for that the migrations do not have."""


class LockTimeoutError(Exception):
    """Somebody else held a lock for longer than the run may wait."""


def is_lock_timeout(error: DBAPIError) -> bool:
    """Tell whether a statement only failed because it waited too long for a lock."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return getattr(error.orig, "sqlstate", "") == LOCK_NOT_AVAILABLE or code == sqlite3.SQLITE_BUSY
