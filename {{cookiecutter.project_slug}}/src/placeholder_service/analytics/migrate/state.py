"""Where ClickHouse stands: which revisions it has, and which one a killed run left unfinished."""

import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import Script
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import URL, Connection, text

from placeholder_service.analytics.client import NotMigratedError
from placeholder_service.analytics.migrate.config import script_directory
from placeholder_service.analytics.migrate.connections import connecting
from placeholder_service.analytics.migrate.history import entries
from placeholder_service.db.migrate.config import relative_name
from placeholder_service.db.migrate.errors import (
    RefusedError,
    UnknownRevisionError,
)
from placeholder_service.db.migrate.history import Entry
from placeholder_service.db.migrate.state import Status, compare, name_of
from placeholder_service.settings import Settings

# A row of the version table is deleted by a mutation, which outlives the run that asked for it.
UNDER_WAY = text("""
    SELECT count() FROM system.mutations
    WHERE database = currentDatabase() AND table = 'alembic_version' AND NOT is_done
""")
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class ClickHouseStatus(Status):
    """Where ClickHouse stands.

    Attributes:
        unfinished: What a run has begun to apply, or to take back, and did not end. It counts as
            pending; an upgrade applies it once more, and a downgrade takes it back once more.
    """

    unfinished: Script | None

    @property
    def reached(self) -> tuple[str, ...]:
        """What a downgrade starts from: the revisions, or the unfinished one above them."""
        return (self.unfinished.revision,) if self.unfinished else self.revisions


def status(connection: Connection | None = None) -> ClickHouseStatus:
    """Return where the configured ClickHouse, or that of a connection, stands. Read-only.

    Raises:
        alembic.util.CommandError: The migrations cannot be read.
        UnreachableError: ClickHouse cannot be reached.
    """
    url = Settings().clickhouse
    if connection is None and is_missing_folder(url):
        return interpret((), {})
    try:
        with connecting(url) if connection is None else nullcontext(connection) as found:
            return interpret(current_revisions(found), entries(found))
    except NotMigratedError:
        return interpret((), {})


def is_missing_folder(url: URL) -> bool:
    """Tell whether ClickHouse is a folder that is not there. Connecting would create it."""
    return url.drivername == "chdb" and not Path(str(url.database)).exists()


def current_revisions(connection: Connection) -> tuple[str, ...]:
    """Return what ClickHouse itself says it is at; two where a run was killed between the two."""
    while connection.scalar(UNDER_WAY):
        time.sleep(POLL_SECONDS)
    return tuple(sorted(set(MigrationContext.configure(connection).get_current_heads())))


def interpret(rows: tuple[str, ...], history: dict[str, Entry]) -> ClickHouseStatus:
    """Return what the rows of the version table and the history mean together.

    A step is written down, runs, inserts the new revision, and then deletes the old one. It is
    unfinished if both are there, or if it was written down and the version is still the old one.
    """
    scripts = script_directory()
    order = [script.revision for script in scripts.walk_revisions()]  # the last one first
    if not set(rows) <= set(order) or len(scripts.get_heads()) > 1:
        # A person has to decide.
        return ClickHouseStatus(**vars(compare(scripts, rows, history)), unfinished=None)
    rows = tuple(sorted(rows, key=order.index))
    lacking = order[: order.index(rows[0])] if rows else order
    directions = {revision: entry.direction for revision, entry in history.items()}
    unfinished = [revision for revision in lacking if directions.get(revision) == "upgrade"]
    if len(rows) > 1 or (rows and directions.get(rows[0]) == "downgrade"):
        unfinished = [rows[0]]
    script = scripts.get_revision(unfinished[-1]) if unfinished else None
    if script is not None and script.revision in rows:
        rows = (str(script.down_revision),) if script.down_revision else ()
    return ClickHouseStatus(**vars(compare(scripts, rows, history)), unfinished=script)


def pending_until(found: Status, revision: str) -> tuple[Script, ...]:
    """Return what an upgrade to `revision` would apply; nothing where ClickHouse is past it.

    Raises:
        UnknownRevisionError: There is no such revision.
    """
    scripts = script_directory()
    try:
        wanted = scripts.iterate_revisions(revision, found.revisions, implicit_base=True)
        names = {script.revision for script in wanted}
    except (CommandError, RevisionError) as error:
        raise UnknownRevisionError(str(error)) from error
    return tuple(script for script in found.pending if script.revision in names)


def to_take_back(found: ClickHouseStatus, revision: str) -> tuple[Script, ...]:
    """Return what a downgrade to `revision`, `base` or -N would take back, the last one first.

    Raises:
        UnknownRevisionError: There is no such revision, or it is not applied.
    """
    scripts = script_directory()
    try:
        doomed = scripts.iterate_revisions(found.reached, revision, select_for_downgrade=True)
        return tuple(doomed)
    except (CommandError, RevisionError) as error:
        raise UnknownRevisionError(str(error)) from error


def refuse_what_needs_a_person(found: Status) -> None:
    """Make sure that an upgrade from here is what somebody meant.

    Raises:
        RefusedError: Two heads, ClickHouse from another version of the code, edited revisions.
    """
    if found.unknown:
        raise RefusedError(
            f"ClickHouse is at {name_of(found.unknown)}, which these migrations do not have: it"
            " belongs to another version of the code. Next: run the migrations of that version"
        )
    if len(found.heads) > 1:
        heads = " ".join(found.heads)
        raise RefusedError(
            f"the migrations of ClickHouse have {len(found.heads)} heads: {heads}. Next: make the"
            " one that was merged last follow the other, with its down_revision, and commit it"
        )
    if found.edited:
        files = ", ".join(relative_name(script.path) for script in found.edited)
        raise RefusedError(
            f"{files} was edited after it was applied, so databases would differ. Next: put it"
            " back and write a new revision; if only its look changed, use --accept-edited"
        )
