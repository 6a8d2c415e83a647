"""The state of a database: its revision, what is pending, and what was edited since."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RangeNotAncestorError, RevisionError
from alembic.util import CommandError, to_tuple
from sqlalchemy import Connection

from migrator.errors import EditedError, RefusedError, UnknownRevisionError, UnversionedError
from migrator.history import Entry, checksum
from migrator.scripts import require_one_head

if TYPE_CHECKING:
    from migrator.database import Database


@dataclass(frozen=True)
class Status:
    """The state of a database compared with the revision files."""

    scripts: ScriptDirectory = field(repr=False, compare=False)
    revisions: tuple[str, ...]  # of the database: one; none for an empty schema; two on branches
    heads: tuple[str, ...]  # of the files: one, unless two branches were merged
    pending: tuple[Script, ...]  # still to apply, in order
    applied: tuple[Script, ...]  # in order
    edited: tuple[Script, ...]  # applied, and their file is no longer what was applied
    unknown: tuple[str, ...]  # of the database; no file has them
    history: dict[str, Entry]  # the latest entry of each applied revision
    # A killed run left it half-way, on a database without transactions. It counts as pending: an
    # upgrade repeats it, a downgrade undoes it.
    unfinished: Script | None = None
    unversioned: tuple[str, ...] = ()  # tables of the migrations in a database without a revision

    @property
    def revision(self) -> str:
        """The revision of the database, for messages."""
        none = "an unknown revision" if self.unversioned else "an empty schema"
        return " and ".join(self.revisions) or none

    @property
    def start(self) -> tuple[str, ...]:
        """Where a downgrade starts: at the unfinished revision, if there is one."""
        return (self.unfinished.revision,) if self.unfinished else self.revisions

    def pending_until(self, revision: str) -> tuple[Script, ...]:
        """Return the revisions that an upgrade would apply, or raise `UnknownRevisionError`."""
        try:
            wanted = self.scripts.iterate_revisions(revision, self.revisions, implicit_base=True)
            names = {script.revision for script in wanted}
        except (CommandError, RevisionError) as error:
            raise unreachable(revision, f"pending: {len(self.pending)}", error) from error
        return tuple(script for script in self.pending if script.revision in names)

    def beyond(self, revision: str) -> tuple[Script, ...]:
        """Return the applied revisions that come after a known one, or after `base`."""
        wanted = self.scripts.iterate_revisions(revision, "base", implicit_base=True)
        names = {script.revision for script in wanted}
        return tuple(script for script in self.applied if script.revision not in names)

    def revisions_to_undo(self, target: str) -> tuple[Script, ...]:
        """Return the revisions that a downgrade would undo, or raise `UnknownRevisionError`."""
        try:
            found = self.scripts.iterate_revisions(self.start, target, select_for_downgrade=True)
            return tuple(found)
        except (CommandError, RevisionError) as error:
            raise unreachable(target, f"applied: {len(self.applied)}", error) from error


def unreachable(revision: str, found: str, error: Exception) -> UnknownRevisionError:
    """Return the error that says why a revision is not to be found, or not from where we are."""
    text = str(error)
    if isinstance(error, RangeNotAncestorError):
        text = f"{revision} is not applied, so nothing leads back to it"
    elif text.startswith("Relative revision"):
        text = f"{revision} goes too far ({found})"
    return UnknownRevisionError(text)


def read_revisions(connection: Connection) -> tuple[str, ...]:
    """Return the revisions that the database records for itself."""
    return tuple(sorted(set(MigrationContext.configure(connection).get_current_heads())))


def compare(
    scripts: ScriptDirectory,
    revisions: tuple[str, ...],
    history: dict[str, Entry],
    unfinished: Script | None = None,
) -> Status:
    """Return how the revisions of a database compare with the files."""
    every = list(reversed(list(scripts.walk_revisions())))
    known = {script.revision for script in every}
    replaced = {it: text for script in every for it, text in squashed_by(script).items()}
    reached = {
        script.revision
        for revision in revisions
        if revision in known
        for script in scripts.iterate_revisions(revision, "base")
    }
    applied = tuple(script for script in every if script.revision in reached)
    return Status(
        scripts=scripts,
        revisions=revisions,
        heads=tuple(scripts.get_heads()),
        pending=tuple(script for script in every if script.revision not in reached),
        applied=applied,
        edited=tuple(
            script
            for script in applied
            if script.revision in history
            and history[script.revision].checksum
            not in (checksum(script), replaced.get(script.revision))
        ),
        unknown=tuple(revision for revision in revisions if revision not in known),
        history={revision: entry for revision, entry in history.items() if revision in reached},
        unfinished=unfinished,
    )


def squashed_by(script: Script) -> dict[str, str]:
    """Return the revisions that a squashed one replaces, with the checksums of their files."""
    return dict(getattr(script.module, "replaces", {}))


def require_known_state(database: "Database", found: Status) -> None:
    """Refuse to upgrade from a state that needs a person's decision.

    Raises:
        RefusedError: The database belongs to another version of the code or has no revision, the
            revisions have two heads, or an applied revision was edited.
    """
    label = database.label
    for script in found.scripts.walk_revisions():
        behind = set(found.unknown) & squashed_by(script).keys()
        if behind:
            raise RefusedError(
                f"{label} is at {' and '.join(behind)}, which was squashed into {script.revision}."
                f" Next: with the version of the code before the squash, upgrade to"
                f" {script.revision}; this version continues from there"
            )
    if found.unknown:
        raise RefusedError(
            f"{label} is at {' and '.join(found.unknown)}, which these migrations do not have: it"
            " belongs to another version of the code. Next: run the migrations of that version;"
            f" `git log --all -- '*{found.unknown[0]}*'` names it. To work on this one, undo the"
            " revision there, or use another database. Older code needs no migration to run on a"
            " newer schema"
        )
    require_one_head(found.scripts)
    if names := found.unversioned:
        raise UnversionedError(
            f"{label} has {len(names)} tables of these migrations ({', '.join(names)}) and no"
            " revision, so the migrations would create them again"
        )
    if found.edited:
        files = ", ".join(database.relative_name(script.path) for script in found.edited)
        raise EditedError(
            f"{files} was edited after it was applied; databases migrated before and after the"
            " edit would differ",
            to_tuple(found.edited[0].down_revision, ("base",))[0],
        )
