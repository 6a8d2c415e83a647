"""The messages about an error: what happened and where, the state of the database, the remedy."""

import sqlite3
import traceback
from dataclasses import replace
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from migrator.calls import Call
from migrator.database import Database
from migrator.engine import is_sqlite
from migrator.errors import BackupError, LockTimeoutError, UnreachableError
from migrator.scripts import find_scripts
from migrator.status import Status

# The remedy for an error, by SQLSTATE and by SQLite's error code.
REMEDIES: dict[str | int | None, str] = {
    "53100": "free space on the server's disk",
    "25006": "connect to the primary, if this is a replica, or end default_transaction_read_only",
    "42501": "connect as the role that owns the tables",
    sqlite3.SQLITE_FULL: "free space on the disk",
    sqlite3.SQLITE_IOERR: "check the disk: is it full, is it failing?",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable",
    sqlite3.SQLITE_READONLY_DBMOVED: "put the file back; it was moved or deleted during the run",
    sqlite3.SQLITE_CANTOPEN: "make the file and its folder writable",
    sqlite3.SQLITE_CORRUPT: "restore a backup; the file is damaged",
    sqlite3.SQLITE_NOTADB: "check {setting}; the file is not a SQLite database",
}
# The remedy by words of the message, for errors that share a code with many others.
CAUSES = {
    "FATAL:  database": "create the database, or check its name in {setting}",
    "FATAL:  role": "create the role, or check the user in {setting}",
    "FATAL:  password": "check the user and the password in {setting}",
    "permission denied to create database": "let the role create databases (ALTER ROLE … CREATEDB)",
    "character varying(32)": "shorten the id of the revision that comes next; 32 characters fit",
    "used by a": "drop what uses the column first, and create it again afterwards",
    "used in a": "drop what uses the column first, and create it again afterwards",
    "cannot be cast automatically": 'say in alter_column how: postgresql_using="COLUMN::TYPE"',
    "other objects depend on it": "drop what depends on it first, and create it again afterwards",
}
UNRECORDED = (
    "find out what made the tables, such as create_all: if they are those of a revision, record it"
    " with `alembic stamp REVISION`; otherwise drop them"
)


def describe_error(target: Database, error: Exception) -> str:
    """Return one line that says what happened and, in a revision, where; without passwords."""
    if isinstance(error, SyntaxError):
        return f"{error.msg} ({target.relative_name(error.filename or '')}, line {error.lineno})"
    cause = str(error.orig if isinstance(error, DBAPIError) else error)
    line = cause.strip().partition("\n")[0].rstrip(".") or type(error).__name__
    folders = {Path(it).resolve() for it in find_scripts(target.config())._version_locations}
    places = [
        f" ({target.relative_name(frame.filename)}, line {frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
        if folders & {*Path(frame.filename).resolve().parents}
    ]
    return target.redact(line) + "".join(places[-1:])


def find_remedy(target: Database, error: Exception) -> str | None:
    """Return the remedy for an error, if it is known."""
    if isinstance(error, BackupError):
        return error.remedy
    cause = error.orig if isinstance(error, DBAPIError) else None
    code = getattr(cause, "sqlite_errorcode", 0)
    remedies = (REMEDIES.get(it) for it in (code, code & 0xFF, getattr(cause, "sqlstate", None)))
    causes = (remedy for words, remedy in CAUSES.items() if words in str(cause))
    remedy = next(filter(None, [*causes, *remedies]), None)
    if "already exists" in str(cause) and not target.status().revisions:
        remedy = UNRECORDED
    return remedy and remedy.format(setting=target.url_setting)


def describe_state(call: Call, remedy: str | None) -> str:
    """Return the state of the database after a failure, and what to do next.

    Without a remedy the cause has to be found; an empty one means that there is none to fix.
    """
    # The database may be locked.
    target = replace(call.target, wait_seconds=0)
    label = target.label[0].upper() + target.label[1:]
    kept = "; no revision was applied partially" if target.is_transactional else ""
    try:
        found = target.status()
    except LockTimeoutError:
        state = f"{label} is locked, so its revision cannot be read{kept}."
    except (SQLAlchemyError, OSError, UnreachableError):
        state = f"{label} cannot be reached to read its revision{kept}."
        remedy = remedy or find_server(call)
    except Exception:  # noqa: BLE001  # revisions are any code, and these cannot even be read
        # After an interruption, it is Python that was interrupted while it imported a module.
        state = "Nothing was changed." if remedy is None else f"{label} was not looked at{kept}."
        remedy = "fix the revision" if remedy is None else remedy
    else:
        left = f", {len(found.pending)} pending" if found.pending else ""
        state = f"{label} is at {found.revision}{left}; {partial_effects(call, found)}."
        remedy = "fix the cause" if remedy is None else remedy
    then = f"{remedy}, then run" if remedy else "run"
    return f"{state} Next: {then} {retry_command(call)}."


def find_server(call: Call) -> str:
    """Return what to do about a server that does not answer."""
    start, setting = call.names.start_server, call.target.url_setting
    is_its_server = not (call.option or call.target.production or is_sqlite(call.target.url))
    if start and is_its_server:
        return f"start the server with {start}, or check {setting}"
    return f"check the server and {setting}"


def retry_command(call: Call) -> str:
    """Return the command that continues an interrupted run."""
    arguments = call.arguments
    if arguments.command != "downgrade" or not arguments.target:
        return "the same command again"
    given = {"--yes": arguments.yes, "--allow-production": arguments.allow_production}
    flags = [option for option, is_given in given.items() if is_given]
    return call.command(call.names.downgrade, *flags, arguments.target)


def partial_effects(call: Call, found: Status) -> str:
    """Return which effects of the revision that was being applied or undone may have stayed."""
    if found.unfinished:
        return f"{found.unfinished.revision} is unfinished, and the next run repeats it"
    is_downgrade = call.arguments.command == "downgrade"
    scripts = found.applied[-1:] if is_downgrade else found.pending[:1]
    # On SQLite, the block commits nothing.
    for script in () if is_sqlite(call.target.url) else scripts:
        if "autocommit_block" in Path(script.path).read_text(encoding="utf-8"):
            return f"effects of {script.revision} outside a transaction may remain"
    return "no revision is partially applied"
