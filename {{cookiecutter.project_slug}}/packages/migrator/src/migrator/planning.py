"""What an upgrade would do: its revisions, their SQL, the tables they lock, squawk's findings.

Nothing is changed, and nothing is locked.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import Script
from sqlalchemy import Connection

from migrator.history import HISTORY
from migrator.scratch import scratch_at

# What other sessions cannot do while a revision holds a lock, the weakest lock first.
LOCKS = {
    "ROW EXCLUSIVE": "writes to the same rows",
    "SHARE UPDATE EXCLUSIVE": "other schema changes; rows can be read and written",
    "SHARE": "writes; rows can be read",
    "SHARE ROW EXCLUSIVE": "writes; rows can be read",
    "EXCLUSIVE": "writes; rows can be read",
    "ACCESS EXCLUSIVE": "everything, including reads",
}
# Which statement takes which lock. The first match counts. A foreign key also locks the table
# it refers to.
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
# What is not worth reading in each plan.
BOOKKEEPING = re.compile(
    r"(?:BEGIN|COMMIT);|SET lock_timeout\b|DO \$\$ BEGIN IF NOT pg_try_advisory_lock\b"
    r"|(?:(?:CREATE|DROP) TABLE(?: IF (?:NOT )?EXISTS)?|INSERT INTO|UPDATE|DELETE FROM)"
    rf" (?:alembic_version|{HISTORY.name})\b",
    re.IGNORECASE,
)
NEW_TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\S+)", re.IGNORECASE)
REFERENCE = re.compile(r"\bREFERENCES (\w+)", re.IGNORECASE)

# Statements that SQLite traces besides those of the revisions.
NO_CHANGE = ("SELECT", "PRAGMA", "BEGIN", "COMMIT", "--")


@dataclass(frozen=True)
class Plan:
    """What an upgrade would do.

    Attributes:
        pending: The revisions that it would apply, in order.
        sql: The statements that they would execute.
        locks: The strongest lock on each table that exists already; None where locks do not matter.
        findings: What squawk found; None if it did not run.
    """

    pending: tuple[Script, ...]
    sql: str = ""
    locks: dict[str, str] | None = None
    findings: str | None = None


def plan_postgresql(config: Config, start: str, pending: tuple[Script, ...], root: Path) -> Plan:
    """Return the plan for PostgreSQL, from the SQL that Alembic prints without a connection."""
    config.attributes["url"] = "postgresql://"
    sql = printed_sql(command.upgrade, config, f"{start}:{pending[-1].revision}")
    return Plan(pending, sql, table_locks(sql), squawk(sql, root))


def plan_sqlite(
    config: Callable[[Connection], Config], start: str, pending: tuple[Script, ...]
) -> Plan:
    """Return the plan for SQLite, from a run on a scratch database.

    Printed SQL would not do: batch operations read the tables that they rebuild.
    """
    statements: list[str] = []
    with scratch_at(start, config) as connection:
        raw = connection.connection.driver_connection
        assert raw is not None, "the connection is open"
        raw.set_trace_callback(statements.append)
        command.upgrade(config(connection), pending[-1].revision)
        raw.set_trace_callback(None)
    changes = (text.strip() for text in statements if not text.lstrip().startswith(NO_CHANGE))
    return Plan(pending, "".join(f"{text};\n\n" for text in changes), {"the file": "EXCLUSIVE"})


def printed_sql(action: Callable[..., None], config: Config, revisions: str) -> str:
    """Return what Alembic prints with `--sql` for `revisions`, such as `base:head`."""
    config.output_buffer = printed = StringIO()
    action(config, revisions, sql=True)
    return printed.getvalue().strip()


def own_statements(sql: str) -> str:
    """Return SQL without what every run adds: its lock, transactions, version and history."""
    parts = (part.strip() for part in sql.split("\n\n"))
    return "\n\n".join(part for part in parts if part and not BOOKKEEPING.match(part))


def table_locks(sql: str) -> dict[str, str]:
    """Return the strongest lock that statements take on each table they did not create."""
    statements = [" ".join(part.split()) for part in re.sub("--.*", "", sql).split(";")]
    created = {match[1] for text in statements if (match := NEW_TABLE.match(text))}
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
        for table in sorted({name for name, _ in taken} - created)
        if table not in ("alembic_version", HISTORY.name)
    }


def find_squawk() -> str | None:
    """Return the path of squawk: beside this Python, else from PATH; None if not installed."""
    beside = Path(sys.executable).with_name("squawk")
    return str(beside) if beside.exists() else shutil.which("squawk")


def squawk(sql: str, root: Path) -> str | None:
    """Return what squawk finds in the SQL; None if it is not installed."""
    program = find_squawk()
    if program is None:
        return None
    done = subprocess.run(
        [program, "--reporter", "gcc", "--stdin-filepath", "plan.sql"],
        cwd=root,
        input=sql,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).strip()
