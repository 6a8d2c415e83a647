"""What an upgrade would do: its revisions, their SQL, the tables they lock, what squawk says.

Nothing is changed, and nothing is locked.
"""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from alembic import command
from alembic.script import Script
from sqlalchemy import Connection

from placeholder_service.db.migrate.config import alembic_config
from placeholder_service.db.migrate.history import HISTORY
from placeholder_service.db.migrate.scratch import scratch_at
from placeholder_service.db.migrate.state import (
    Status,
    pending_until,
    refuse_what_needs_a_person,
    status,
)
from placeholder_service.settings import PROJECT_ROOT, Settings

# What a lock keeps others from while a revision holds it, the weakest lock first.
LOCKS = {
    "ROW EXCLUSIVE": "rows that are written; other rows can be written",
    "SHARE UPDATE EXCLUSIVE": "other schema changes; rows can be read and written",
    "SHARE": "writes; rows can be read",
    "SHARE ROW EXCLUSIVE": "writes; rows can be read",
    "EXCLUSIVE": "writes; rows can be read",
    "ACCESS EXCLUSIVE": "everything, reads included",
}
# Which statement takes which lock. The first that fits counts, except that a foreign key always
# locks the table it refers to as well.
STATEMENTS = (
    (r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY .*?\bON (?P<table>\S+)", "SHARE UPDATE EXCLUSIVE"),
    (r"CREATE (?:UNIQUE )?INDEX .*?\bON (?P<table>\S+)", "SHARE"),
    (r"ALTER TABLE (?P<table>\S+) VALIDATE CONSTRAINT", "SHARE UPDATE EXCLUSIVE"),
    (r"ALTER TABLE (?P<table>\S+) ADD .*\bFOREIGN KEY\b", "SHARE ROW EXCLUSIVE"),
    (r"CREATE TRIGGER .*?\bON (?P<table>\S+)", "SHARE ROW EXCLUSIVE"),
    (r"(?:ALTER|DROP|TRUNCATE) TABLE (?:IF EXISTS )?(?P<table>\S+)", "ACCESS EXCLUSIVE"),
    (r"DROP INDEX CONCURRENTLY (?:IF EXISTS )?(?P<table>\S+)", "SHARE UPDATE EXCLUSIVE"),
    (r"DROP INDEX (?:IF EXISTS )?(?P<table>\S+)", "ACCESS EXCLUSIVE"),
    (r"(?:INSERT INTO|UPDATE|DELETE FROM) (?P<table>\S+)", "ROW EXCLUSIVE"),
)
NEW_TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\S+)", re.IGNORECASE)
REFERENCE = re.compile(r"\bREFERENCES (\w+)", re.IGNORECASE)

# What SQLite is told besides the revisions' own statements.
READING = ("SELECT", "PRAGMA", "BEGIN", "COMMIT", "--")


@dataclass(frozen=True)
class Plan:
    """What an upgrade would do.

    Attributes:
        pending: The revisions it would apply, the first one first.
        sql: What they would execute.
        locks: The strongest lock on each table that is there already.
        findings: What squawk has to say; None if it was not asked.
    """

    pending: tuple[Script, ...]
    sql: str
    locks: dict[str, str]
    findings: str | None


def plan(revision: str = "head", connection: Connection | None = None) -> Plan:
    """Return what an upgrade to `revision` would do. Read-only.

    Raises:
        RefusedError: The upgrade would be refused.
        UnknownRevisionError: There is no such revision.
    """
    found = status(connection)
    refuse_what_needs_a_person(found)
    pending = pending_until(found, revision)
    if not pending:
        return Plan((), "", {}, None)
    dialect = connection.dialect.name if connection else Settings().url.get_backend_name()
    if dialect == "sqlite":
        return Plan(pending, sqlite_sql(found, pending), {"the whole file": "EXCLUSIVE"}, None)
    sql = postgresql_sql(found, pending)
    return Plan(pending, sql, table_locks(sql), squawk(sql))


def postgresql_sql(found: Status, pending: tuple[Script, ...]) -> str:
    """Return what Alembic prints with `--sql`."""
    config = alembic_config()
    config.attributes["url"] = "postgresql://"
    config.output_buffer = printed = StringIO()
    span = f"{found.revisions[0] if found.revisions else 'base'}:{pending[-1].revision}"
    command.upgrade(config, span, sql=True)
    return printed.getvalue()


def sqlite_sql(found: Status, pending: tuple[Script, ...]) -> str:
    """Return what the revisions execute on a scratch database: they look at tables to rebuild."""
    statements: list[str] = []
    with scratch_at(found.revisions[0] if found.revisions else "base") as connection:
        raw = connection.connection.driver_connection
        assert raw is not None, "the connection is open"
        raw.set_trace_callback(statements.append)
        command.upgrade(alembic_config(connection), pending[-1].revision)
        raw.set_trace_callback(None)
    changes = (text.strip() for text in statements if not text.lstrip().startswith(READING))
    return "".join(f"{text};\n\n" for text in changes)


def table_locks(sql: str) -> dict[str, str]:
    """Return the strongest lock that statements take on each table they did not create."""
    statements = [" ".join(part.split()) for part in re.sub("--.*", "", sql).split(";")]
    new = {match[1] for text in statements if (match := NEW_TABLE.match(text))}
    ours = new | {"alembic_version", HISTORY.name}
    taken: list[tuple[str, str]] = []
    for statement in statements:
        for pattern, lock in STATEMENTS:
            if match := re.match(pattern, statement, re.IGNORECASE):
                taken.append((match["table"], lock))
                break
        taken += [(table, "SHARE ROW EXCLUSIVE") for table in REFERENCE.findall(statement)]
    strength = list(LOCKS)
    return {
        table: max((lock for name, lock in taken if name == table), key=strength.index)
        for table in sorted({name for name, _ in taken} - ours)
    }


def squawk(sql: str) -> str | None:
    """Return what squawk finds in the SQL; None if it is not installed."""
    beside = Path(sys.executable).with_name("squawk")
    program = str(beside) if beside.exists() else shutil.which("squawk")
    if program is None:
        return None
    done = subprocess.run(
        [program, "--reporter", "gcc", "--stdin-filepath", "plan.sql"],
        cwd=PROJECT_ROOT,
        input=sql,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).strip()
