"""What an upgrade would do: its revisions, their SQL, the tables they lock, squawk's findings.

Nothing is changed, and nothing that others use is locked.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import Script
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from migrator.history import OWN_TABLES
from migrator.rehearsal import estimate_rows, rehearse
from migrator.scratch import scratch_at
from migrator.squawk import run_squawk

if TYPE_CHECKING:
    from migrator.database import Database

# What is not worth reading in each plan.
BOOKKEEPING = re.compile(
    r"(?:BEGIN|COMMIT);|SET lock_timeout\b|DO \$\$ BEGIN IF NOT pg_try_advisory_lock\b"
    r"|(?:(?:ALTER|CREATE|DROP) TABLE(?: IF (?:NOT )?EXISTS)?|INSERT INTO|UPDATE|DELETE FROM)"
    rf" `?(?:{'|'.join(OWN_TABLES)})\b",
    re.IGNORECASE,
)

# Statements that SQLite traces besides those of the revisions, whatever comments come before. A
# PRAGMA that sets a value is one of theirs, unless a batch rebuilds a table with it.
COMMENTS = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
READING_PRAGMA = r"PRAGMA\s+(?:[^=(]*$|\w+\.\w+\s*\(|legacy_alter_table\b)"
NO_CHANGE = re.compile(
    rf"{COMMENTS}(?:$|(?:SELECT|BEGIN|COMMIT)\b|{READING_PRAGMA})", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True)
class Plan:
    """What an upgrade would do."""

    pending: tuple[Script, ...]  # in order
    sql: str = ""  # the statements that they would execute
    # The strongest lock on each table, view or index that exists already; None where locks do not
    # matter.
    locks: dict[str, str] | None = None
    unknown: tuple[str, ...] = ()  # whose locks could not be learned, each with the reason
    # About how many rows the locked tables have, as far as the server knows.
    rows: dict[str, int] = field(default_factory=dict)
    findings: str | None = None  # of squawk; None if it did not run
    answers: tuple[str, ...] = ()  # what ClickHouse says of each statement, without executing it


def plan_postgresql(
    connection: Connection, database: "Database", start: str, pending: tuple[Script, ...]
) -> Plan:
    """Return the plan for PostgreSQL.

    The SQL is what Alembic prints without a connection. The locks are those that the server takes
    when the revisions run on an empty copy of the schema.
    """
    sql = print_plan(database, f"{start}:{pending[-1].revision}")
    found = rehearse(database, start, pending[-1].revision)
    rows = estimate_rows(connection, found.locks)
    return Plan(pending, sql, found.locks, tuple(found.unknown), rows, squawk(sql, database.root))


def print_plan(database: "Database", revisions: str) -> str:
    """Return the SQL of revisions, up to the first one that needs a database to be printed.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: A statement is wrong, as it would be in a run.
    """
    from migrator.failures import describe_error

    offline = database.config()
    offline.attributes["url"] = "postgresql://"
    offline.output_buffer = printed = Statements()
    try:
        command.upgrade(offline, revisions, sql=True)
    except SQLAlchemyError:
        raise
    except Exception as error:  # noqa: BLE001  # a revision is any code
        reason = describe_error(database, error)
        printed.write(f"-- The rest cannot be printed without a database: {reason}\n\n")
    return printed.getvalue().strip()


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
    changes = (text.strip() for text in statements if not NO_CHANGE.match(text))
    return Plan(pending, "".join(f"{text};\n\n" for text in changes), {"the file": "EXCLUSIVE"})


class Statements(StringIO):
    """An output for Alembic that keeps statements apart, whatever they contain."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.own: list[str] = []

    def write(self, text: str) -> int:
        """Note a statement, unless every run has it or it is a comment of Alembic's."""
        statement = text.strip().rstrip("; \n")
        if statement and not BOOKKEEPING.match(text) and not text.startswith("-- Running "):
            self.own.append(statement)
        return super().write(text)


def printed_sql(action: Callable[..., None], config: Config, revisions: str) -> str:
    """Return what Alembic prints with `--sql` for `revisions`, such as `base:head`."""
    return print_statements(action, config, revisions).getvalue().strip()


def print_statements(action: Callable[..., None], config: Config, revisions: str) -> Statements:
    """Return the same with its statements."""
    config.output_buffer = printed = Statements()
    action(config, revisions, sql=True)
    return printed


def own_statements(sql: str) -> str:
    """Return SQL without what every run adds: its lock, transactions, version and history."""
    parts = (part.strip() for part in sql.split("\n\n"))
    return "\n\n".join(part for part in parts if part and not BOOKKEEPING.match(part))


def squawk(sql: str, root: Path) -> str | None:
    """Return what squawk finds in the SQL; None if it is not installed."""
    done = run_squawk(sql, root, "--reporter", "gcc", "--stdin-filepath", "plan.sql")
    return None if done is None else (done.stdout + done.stderr).strip()
