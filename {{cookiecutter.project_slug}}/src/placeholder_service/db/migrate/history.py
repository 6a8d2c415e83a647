"""The table that tells which revision was run when, by whom, and from which text.

`migrations/env.py` hands a `Recorder` to Alembic. The row of a revision is written in the
revision's own transaction: either both are there, or neither.
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

Direction = Literal["upgrade", "downgrade", "stamp", "accept"]

# Not a table of the models: autogenerate leaves it alone, and `downgrade base` drops it.
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


@dataclass(frozen=True)
class Entry:
    """A revision that was run.

    Attributes:
        revision: Its id.
        direction: Up or down; `stamp` only marked it as applied; `accept` took its edited text.
        checksum: The SHA-256 of its file at that time.
        applied_at: When.
        seconds: How long it took; None where only SQL was printed.
        applied_by: The user and the machine.
    """

    revision: str
    direction: Direction
    checksum: str
    applied_at: datetime
    seconds: float | None
    applied_by: str


Report = Callable[[Script, float], None]


class Recorder:
    """Writes the row of every revision that Alembic runs."""

    def __init__(self, report: Report | None = None) -> None:
        """Take the time; `report` is told each revision and the seconds it took."""
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
        """Do it, in the transaction that the revision ran in."""
        seconds = time.monotonic() - self.started
        script = step.up_revision
        assert isinstance(script, Script), "revisions come from files"
        if heads:
            up_or_down: Direction = "upgrade" if step.is_upgrade else "downgrade"
            ctx.execute(CreateTable(HISTORY, if_not_exists=True))
            ctx.execute(
                row(
                    script,
                    "stamp" if step.is_stamp else up_or_down,
                    None if ctx.as_sql else round(seconds, 3),
                )
            )
        else:
            # Back at an empty schema, nothing is left of it. The backup has the history.
            ctx.execute(DropTable(HISTORY, if_exists=True))
        if self.report is not None:
            self.report(script, seconds)
        self.started = time.monotonic()


def accept(connection: sa.Connection, script: Script) -> None:
    """Take the text that a revision has now for the one that was applied."""
    connection.execute(row(script, "accept", None))


def row(script: Script, direction: Direction, seconds: float | None) -> sa.Insert:
    """Return the statement that writes down a revision."""
    statement = HISTORY.insert().inline()
    return statement.values(
        revision=script.revision,
        direction=direction,
        checksum=checksum(script),
        seconds=seconds,
        applied_by=f"{user()}@{socket.gethostname()}",
    )


def checksum(script: Script) -> str:
    """Return the SHA-256 of a revision's file, however its lines end."""
    text = Path(script.path).read_text(encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def user() -> str:
    """Return who runs this; in a container, the user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def entries(connection: sa.Connection) -> dict[str, Entry]:
    """Return the latest entry of each revision; none before the first run that wrote one."""
    if not sa.inspect(connection).has_table(HISTORY.name):
        return {}
    columns = [column for column in HISTORY.columns if column.name != "id"]
    rows = connection.execute(sa.select(*columns).order_by(HISTORY.c.id)).mappings()
    return {row["revision"]: Entry(**{**row, "applied_at": in_utc(row)}) for row in rows}


def in_utc(row: sa.RowMapping) -> datetime:
    """Return when it was; SQLite keeps no time zone."""
    applied_at: datetime = row["applied_at"]
    aware = applied_at if applied_at.tzinfo else applied_at.replace(tzinfo=UTC)
    return aware.astimezone(UTC)
