"""What to say about an error: what happened and where, how the database stands, what to do."""

import sqlite3
import traceback
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from placeholder_service.db.migrate.config import alembic_config, relative_name
from placeholder_service.db.migrate.state import Status, status
from placeholder_service.redaction import redact
from placeholder_service.settings import Settings

# What to do about an error, by SQLSTATE and by SQLite's error code.
REMEDIES: dict[str | int | None, str] = {
    "53100": "make room on the server's disk",
    "25006": "connect to the primary; this is a read-only replica",
    "42501": "connect as the role that owns the tables",
    sqlite3.SQLITE_FULL: "make room on the disk",
    sqlite3.SQLITE_IOERR: "see to the disk: is there room, is it healthy?",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for you",
    sqlite3.SQLITE_READONLY_DBMOVED: "put the file back; it was moved or deleted during the run",
    sqlite3.SQLITE_CANTOPEN: "make the file and its folder writable for you",
    sqlite3.SQLITE_CORRUPT: "restore a backup: the file is damaged",
    sqlite3.SQLITE_NOTADB: "see to DATABASE_URL: it names a file that is no database",
}


def reason_of(error: Exception) -> str:
    """Return one line that says what happened and, in a revision, where, without secrets."""
    if isinstance(error, SyntaxError):
        return f"{error.msg} ({relative_name(error.filename or '')}, line {error.lineno})"
    what = str(error.orig if isinstance(error, DBAPIError) else error)
    line = what.strip().partition("\n")[0].rstrip(".") or type(error).__name__
    migrations = Path(str(alembic_config().get_main_option("script_location")))
    places = [
        f" ({relative_name(frame.filename)}, line {frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).match("versions/*.py")
        and migrations in Path(frame.filename).parents
    ]
    return redact(line, Settings().secrets) + "".join(places[-1:])


def remedy_of(error: Exception) -> str | None:
    """Return what to do about an error, if that is known."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    code = getattr(cause, "sqlite_errorcode", 0)
    remedies = (REMEDIES.get(it) for it in (code, code & 0xFF, getattr(cause, "sqlstate", None)))
    return next(filter(None, remedies), None)


def standing(remedy: str | None, call: str) -> str:
    """Return where the database stands now, and what to do next; `call` goes on from there."""
    try:
        found = status()
    except (SQLAlchemyError, OSError):
        return (
            "The database cannot be asked where it stands; it is at a whole revision."
            f" Next: {remedy or 'see to the server and DATABASE_URL'}, then run {call}."
        )
    except Exception:  # noqa: BLE001  # revisions are any code, and these cannot even be read
        return f"Nothing was changed. Next: mend the revision, then run {call}."
    left = f", and {len(found.pending)} to apply" if found.pending else ""
    return (
        f"The database is at {found.revision}{left}; {what_may_be_there(found)}."
        f" Next: {remedy or 'mend the cause'}, then run {call}."
    )


def what_may_be_there(found: Status) -> str:
    """Return what there may be of the revision that comes next."""
    for script in found.pending[:1]:
        if "autocommit_block" in Path(script.path).read_text(encoding="utf-8"):
            return f"what {script.revision} does outside a transaction may be there already"
    return "no revision is half applied"
