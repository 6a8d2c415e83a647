"""Where a database stands: which revisions it has, which are to come, and whether it is sound."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection, text

from placeholder_service.db.migrate.config import (
    relative_name,
    script_directory,
)
from placeholder_service.db.migrate.engine import is_missing_file, reading
from placeholder_service.db.migrate.errors import (
    RefusedError,
    UnknownRevisionError,
)
from placeholder_service.db.migrate.history import Entry, checksum, entries
from placeholder_service.settings import Settings

# What a run that broke off, or a revision that says IF NOT EXISTS, leaves: a name and a remark.
UNSOUND = {
    "sqlite": """
        SELECT 'table ' || name, 'is left over from a run that broke off; next: drop it'
        FROM sqlite_master WHERE type = 'table' AND name LIKE '\\_alembic\\_tmp\\_%' ESCAPE '\\'
        UNION ALL
        SELECT 'table ' || "table", 'has ' || count(*) || ' rows that refer to missing ones'
        FROM pragma_foreign_key_check GROUP BY 1
    """,
    "postgresql": """
        SELECT 'index ' || indexrelid::regclass,
               'is not valid; next: DROP INDEX CONCURRENTLY ' || indexrelid::regclass
               || ', then create it again'
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid AND relkind = 'i'
        WHERE NOT indisvalid AND pg_table_is_visible(indrelid) AND NOT EXISTS (
            SELECT FROM pg_stat_progress_create_index WHERE index_relid = indexrelid
        )
        UNION ALL
        SELECT 'constraint ' || conname || ' of ' || conrelid::regclass,
               'is not validated; next: a revision with ALTER TABLE ' || conrelid::regclass
               || ' VALIDATE CONSTRAINT ' || quote_ident(conname)
        FROM pg_constraint
        WHERE NOT convalidated AND pg_table_is_visible(conrelid)
        UNION ALL
        SELECT 'table ' || oid::regclass, 'is left over from a run that broke off; next: drop it'
        FROM pg_class
        WHERE relkind = 'r' AND relname LIKE '\\_alembic\\_tmp\\_%' AND pg_table_is_visible(oid)
    """,
}


@dataclass(frozen=True)
class Status:
    """Where a database stands.

    Attributes:
        revisions: What the database is at: one, none where it has no schema yet, two on branches.
        heads: The last revisions of the migrations; one, unless two branches were merged.
        pending: Revisions still to apply, the next one first.
        applied: Revisions that were applied, the first one first.
        edited: Of these, the ones whose file is no longer what was applied.
        unknown: Revisions of the database that the migrations do not have.
        history: What is known of each applied revision.
    """

    revisions: tuple[str, ...]
    heads: tuple[str, ...]
    pending: tuple[Script, ...]
    applied: tuple[Script, ...]
    edited: tuple[Script, ...]
    unknown: tuple[str, ...]
    history: dict[str, Entry]

    @property
    def revision(self) -> str:
        """The revision of the database, in words."""
        return name_of(self.revisions)


def name_of(revisions: Sequence[str]) -> str:
    """Return a database's revisions in words."""
    return " and ".join(revisions) or "an empty schema"


def status(connection: Connection | None = None) -> Status:
    """Return where the configured database, or that of a connection, stands. Read-only.

    Raises:
        alembic.util.CommandError: The migrations cannot be read.
        sqlalchemy.exc.SQLAlchemyError: The database cannot be reached.
    """
    scripts = script_directory()
    url = Settings().url
    if connection is None and is_missing_file(url):
        return compare(scripts, (), {})
    with reading(url) if connection is None else nullcontext(connection) as found:
        return compare(scripts, current_revisions(found), entries(found))


def current_revisions(connection: Connection) -> tuple[str, ...]:
    """Return what the database itself says it is at."""
    return tuple(sorted(MigrationContext.configure(connection).get_current_heads()))


def compare(
    scripts: ScriptDirectory, revisions: tuple[str, ...], history: dict[str, Entry]
) -> Status:
    """Return how a database's revisions compare with the migrations."""
    everything = list(reversed(list(scripts.walk_revisions())))
    known = {script.revision for script in everything}
    unknown = tuple(revision for revision in revisions if revision not in known)
    reached = {
        script.revision
        for revision in revisions
        if revision in known
        for script in scripts.iterate_revisions(revision, "base")
    }
    applied = tuple(script for script in everything if script.revision in reached)
    return Status(
        revisions=revisions,
        heads=tuple(scripts.get_heads()),
        pending=tuple(script for script in everything if script.revision not in reached),
        applied=applied,
        edited=tuple(
            script
            for script in applied
            if script.revision in history and history[script.revision].checksum != checksum(script)
        ),
        unknown=unknown,
        history={name: entry for name, entry in history.items() if name in reached},
    )


def pending_until(found: Status, revision: str) -> tuple[Script, ...]:
    """Return what an upgrade to `revision` would apply; nothing where the database is past it.

    Raises:
        UnknownRevisionError: There is no such revision.
    """
    try:
        wanted = script_directory().iterate_revisions(revision, found.revisions, implicit_base=True)
        names = {script.revision for script in wanted}
    except (CommandError, RevisionError) as error:
        raise UnknownRevisionError(str(error)) from error
    return tuple(script for script in found.pending if script.revision in names)


def to_take_back(found: Status, revision: str) -> tuple[Script, ...]:
    """Return what a downgrade to `revision`, `base` or -N would take back, the last one first.

    Raises:
        UnknownRevisionError: There is no such revision, or it is not applied.
    """
    try:
        doomed = script_directory().iterate_revisions(
            found.revisions,
            revision,
            select_for_downgrade=True,
        )
        return tuple(doomed)
    except (CommandError, RevisionError) as error:
        raise UnknownRevisionError(str(error)) from error


def refuse_what_needs_a_person(found: Status) -> None:
    """Make sure that an upgrade from here is what somebody meant.

    Raises:
        RefusedError: Two heads, a database from another version of the code, edited revisions.
    """
    if found.unknown:
        raise RefusedError(
            f"the database is at {name_of(found.unknown)}, which these migrations do not have: it"
            " belongs to another version of the code. Next: run the migrations of that version."
            " An older version of the service needs no migration to run on a newer schema"
        )
    if len(found.heads) > 1:
        raise RefusedError(
            f"the migrations have {len(found.heads)} heads: {', '.join(found.heads)}. Next: set the"
            " down_revision of one to the other; docs/migrations.md, Two heads, tells how"
        )
    if found.edited:
        files = ", ".join(relative_name(script.path) for script in found.edited)
        raise RefusedError(
            f"{files} was edited after it was applied, so databases would differ. Next: put it"
            " back and write a new revision; if only its look changed, use --accept-edited"
        )


def faults(connection: Connection) -> list[str]:
    """Return what a run must not leave behind, each with what to do; nothing if all is well."""
    rows = connection.execute(text(UNSOUND[connection.dialect.name]))
    return [f"{what} {remark}" for what, remark in rows]
