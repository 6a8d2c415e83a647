"""The table `migration_history`: which revision ran when, by whom, and from which text.

`migrations/env.py` passes a `Recorder` to Alembic. It writes the row of a revision in the
revision's own transaction, so that either both exist or neither.
"""

import getpass
import hashlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script
from sqlalchemy.schema import CreateTable, DropTable

Direction = Literal["upgrade", "downgrade", "stamp", "accept", "adopted"]

# Not a table of the models: autogenerate ignores it, and `downgrade base` drops it.
HISTORY = sa.Table(
    "migration_history",
    sa.MetaData(),
    sa.Column(
        "id",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        sa.Identity(),
        primary_key=True,
    ),
    sa.Column("revision", sa.Text, nullable=False),
    sa.Column("direction", sa.Text, nullable=False),
    sa.Column("checksum", sa.Text, nullable=False),
    sa.Column("applied_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
    sa.Column("seconds", sa.Float),
    sa.Column("applied_by", sa.Text, nullable=False),
)

# How far back-fills are that were interrupted, until the next revision is stored.
PROGRESS = sa.Table(
    "migration_progress",
    sa.MetaData(),
    sa.Column("statement", sa.Text, primary_key=True),  # revision, number, SHA-256
    sa.Column("last", sa.Text),  # the key of the last row, as JSON; NULL once all rows are done
    sa.Column("passed", sa.BigInteger, nullable=False),
)
# The tables of the migrations themselves.
VERSION_TABLE = "alembic_version"
OWN_TABLES = (VERSION_TABLE, HISTORY.name, PROGRESS.name)


@dataclass(frozen=True)
class Entry:
    """A row of the history."""

    revision: str
    # `stamp` marked the revision as applied without running it; `accept` took its edited text;
    # `adopted` found that the database equals it.
    direction: Direction
    checksum: str  # the SHA-256 of its file at that time
    applied_at: datetime  # in UTC
    seconds: float | None  # None if only SQL was printed
    applied_by: str  # as `user@host`


class Recorder:
    """Writes a row for every revision that Alembic runs."""

    def __init__(self, report: Callable[[Script, float], None] | None = None) -> None:
        """Start the clock; `report` gets each revision and the seconds it took."""
        self.report = report
        self.started = time.monotonic()

    def __call__(
        self,
        *,
        ctx: MigrationContext,
        step: MigrationInfo,
        heads: set[str],
        run_args: dict[str, Any],
    ) -> None:
        """Write the row, in the transaction that the revision ran in."""
        seconds = time.monotonic() - self.started
        script = step.up_revision
        assert isinstance(script, Script), "revisions come from files"
        if heads:
            up_or_down: Direction = "upgrade" if step.is_upgrade else "downgrade"
            direction = "stamp" if step.is_stamp else up_or_down
            ctx.execute(CreateTable(HISTORY, if_not_exists=True))
            ctx.execute(insert(script, direction, None if ctx.as_sql else round(seconds, 3)))
        else:
            # An empty schema keeps no history. The backup of the downgrade has it.
            ctx.execute(DropTable(HISTORY, if_exists=True))
        if self.report is not None:
            self.report(script, seconds)
        self.started = time.monotonic()


def insert(script: Script, direction: Direction, seconds: float | None) -> sa.Insert:
    """Return the statement that records a revision."""
    statement = HISTORY.insert().inline()
    return statement.values(
        revision=script.revision,
        direction=direction,
        checksum=checksum(script),
        seconds=seconds,
        applied_by=current_user(),
    )


def checksum(script: Script) -> str:
    """Return the SHA-256 of a revision's file, whatever its line endings are."""
    text = Path(script.path).read_text(encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def current_user() -> str:
    """Return who runs this, as `user@host`. In a container, the user may have no name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def read_history(connection: sa.Connection) -> dict[str, Entry]:
    """Return the latest entry of each revision; none before the first recorded run."""
    if not sa.inspect(connection).has_table(HISTORY.name):
        return {}
    columns = [column for column in HISTORY.columns if column.name != "id"]
    rows = connection.execute(sa.select(*columns).order_by(HISTORY.c.id)).mappings()
    return {row["revision"]: Entry(**{**row, "applied_at": in_utc(row)}) for row in rows}


def in_utc(row: sa.RowMapping) -> datetime:
    """Return when a row was written. SQLite stores no time zone; its times are in UTC."""
    applied_at: datetime = row["applied_at"]
    aware = applied_at if applied_at.tzinfo else applied_at.replace(tzinfo=UTC)
    return aware.astimezone(UTC)
