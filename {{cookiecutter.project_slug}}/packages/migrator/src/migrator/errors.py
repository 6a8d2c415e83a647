"""Errors that stop a migration command, besides those that a database or a revision raises."""

from typing import Literal


class MigrationError(Exception):
    """The base of all errors that migrator itself raises."""


class RefusedError(MigrationError):
    """Nothing was changed, because a person has to decide. The message says what to do next."""


class EditedError(RefusedError):
    """The file of an applied revision is no longer what was applied."""

    def __init__(self, message: str, before: str) -> None:
        """Store a revision that the first edited one follows, or `base`."""
        super().__init__(message)
        self.before = before


class UnversionedError(RefusedError):
    """The database has tables of the migrations, and no revision."""


class HeadsError(RefusedError):
    """The history has several last revisions, because two branches were merged."""


class UnknownRevisionError(MigrationError):
    """No revision has the given id, or it cannot be reached from where the database is."""


class UnknownLossesError(MigrationError):
    """What a downgrade deletes is unknown. The message says why."""


class LockTimeoutError(MigrationError):
    """Another session held a lock for longer than this run may wait."""

    def __init__(
        self, message: str, limit: Literal["wait_seconds", "lock_timeout_ms"] = "wait_seconds"
    ) -> None:
        """Store which limit was reached."""
        super().__init__(message)
        self.limit = limit  # the field of `Database` that bounds the wait


class BackupError(MigrationError):
    """The backup is missing or incomplete, so nothing was changed."""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        """Store the remedy."""
        super().__init__(message)
        self.remedy = remedy  # what to do next, if it is known


class LinterError(MigrationError):
    """The linter cannot do its work. The message says why, and what to do next."""


class UnreachableError(MigrationError):
    """The database server does not answer. The message says what to do next."""


class InUseError(UnreachableError):
    """Another process has opened an embedded database that serves one process at a time."""


def first_line(error: Exception) -> str:
    """Return what a message says first: of an error of SQLAlchemy's, the one of the database."""
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().partition("\n")[0].partition(". Next")[0].rstrip(".")
