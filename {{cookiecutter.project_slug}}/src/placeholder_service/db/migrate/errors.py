"""What stops a migration run, beyond what the database or a revision raises."""

import sqlite3

from sqlalchemy.exc import DBAPIError

LOCK_NOT_AVAILABLE = "55P03"


class RefusedError(Exception):
    """Nothing was changed, because a person has to decide. The message says what to do."""


class UnknownRevisionError(Exception):
    """A revision was asked for that the migrations do not have."""


class LockTimeoutError(Exception):
    """Somebody else held a lock for longer than the run may wait.

    Attributes:
        setting: What says how long that is.
    """

    def __init__(self, message: str, setting: str = "MIGRATION_WAIT_SECONDS") -> None:
        """Note the setting."""
        super().__init__(message)
        self.setting = setting


def is_lock_timeout(error: DBAPIError) -> bool:
    """Tell whether a statement only failed because it waited too long for a lock."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return getattr(error.orig, "sqlstate", "") == LOCK_NOT_AVAILABLE or code == sqlite3.SQLITE_BUSY
