"""Undoes revisions, unless that is unwanted or unsafe."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from alembic.script import Script
from alembic.util import to_tuple

from migrator.calls import Call, Exit, show_step
from migrator.errors import RefusedError, UnknownLossesError, UnknownRevisionError
from migrator.status import Status, require_known_state

if TYPE_CHECKING:
    from migrator.database import Database
    from migrator.losses import Loss


def downgrade(call: Call) -> Exit:
    """Undo revisions, unless that is unwanted or unsafe, and report what changed."""
    with call.target.reserve(create=False):
        return undo(call)


def undo(call: Call) -> Exit:
    """Undo revisions of a database that no other process can take away."""
    target, arguments = call.target, call.arguments
    target.require_session()
    before = target.status()
    if before.unversioned:
        require_known_state(target, before)
    wanted = step_or_revision(before, arguments.target or "1")
    if not before.start:
        if not wanted.startswith("-"):
            before.pending_until(wanted)  # raises an error where there is no such revision
        print(f"Nothing to do: {target.label} has no schema.")
        return Exit.DONE
    if target.production and not (arguments.allow_production and arguments.target):
        example = call.command(call.names.downgrade, "--allow-production", "REVISION")
        raise RefusedError(
            "a downgrade deletes data, and this is production: you must also pass"
            f" --allow-production and name the revision. Next: {example}"
        )
    if before.unknown:
        require_known_state(target, before)
    try:
        to_undo = before.revisions_to_undo(wanted)
    except UnknownRevisionError:
        # Alembic cannot count steps back from a merge, whatever their number.
        refuse_merges([script for script in before.applied if script.revision in before.start])
        raise
    if not to_undo:
        print(f"Nothing to do: {target.label} is at {before.revision}.")
        return Exit.DONE
    require_reversible(to_undo)
    revision = previous(to_undo[-1])
    # A number of steps would start again from where an interrupted run stopped.
    arguments.target = revision
    start = " and ".join(before.start)
    lost = find_losses(target, before, revision)
    confirm(arguments)
    steps = Steps(call, before, revision, lost)
    target.downgrade(revision, report=steps.report, check=steps.check)
    after = target.status()
    if steps.has_begun:
        print(f"Downgraded {target.label} from {start} to {after.revision}.")
    else:
        print(f"Nothing left to do: another run has taken {target.label} to {after.revision}.")
    return Exit.DONE


def find_losses(target: "Database", before: Status, revision: str) -> "list[Loss]":
    """Print what a downgrade deletes, as far as it is known, and return it."""
    span = f"This takes {target.label} from {' and '.join(before.start)} back to {revision}"
    try:
        lost = target.losses(before, revision)
    except UnknownLossesError as error:
        print(f"{span}.")
        print(f"What it deletes is unknown; it cannot be tried on a scratch database: {error}.")
        return []
    print(f"{span}, and deletes:")
    for line in [str(loss) for loss in lost] or ["no table and no column"]:
        print(f"  {line}")
    return lost


class Steps:
    """A downgrade that undoes what the user was shown, whatever other runs do meanwhile."""

    def __init__(self, call: Call, before: Status, revision: str, lost: "Sequence[Loss]") -> None:
        """Store the state that was shown, where the downgrade ends, and what it deletes."""
        self.call = call
        self.lost = lost
        self.expected = before.start
        self.end = revisions_at(revision)
        self.has_begun = False  # whether it found the state that it expected

    def check(self, found: Status) -> None:
        """Refuse a state that the user was not shown, and back up the other one.

        A retry starts from where the attempt before it has stopped.
        """
        target = self.call.target
        if found.start == self.end:
            return
        if found.start != self.expected:
            shown = self.call.command(self.call.names.status)
            raise RefusedError(
                f"{target.label} was at {' and '.join(self.expected)}, and another run has taken it"
                f" to {found.revision} meanwhile. Next: {shown} shows its state"
            )
        if not self.has_begun and (path := target.back_up(found, self.lost)):
            print(f"Backup: {path}, verified.", flush=True)
        self.has_begun = True

    def report(self, script: Script, seconds: float) -> None:
        """Print a line for a revision that was undone."""
        self.expected = revisions_at(previous(script))
        show_step(script, seconds)


def revisions_at(revision: str) -> tuple[str, ...]:
    """Return the revisions of a database that is at one, or at `base`."""
    return () if revision == "base" else (revision,)


def previous(script: Script) -> str:
    """Return the revision that a database is at once `script` was undone, or `base`."""
    before = script.down_revision or "base"
    assert isinstance(before, str), "require_reversible refuses merges"
    return before


def step_or_revision(found: Status, target: str) -> str:
    """Return a number of steps, such as 2 or -2, in Alembic's form; return ids unchanged.

    Ids may be numbers as well, such as 005. What is an id is no number of steps, and no number of
    steps begins with 0.

    Raises:
        UnknownRevisionError: No steps lead nowhere.
    """
    steps = target.removeprefix("-")
    if target in {script.revision for script in found.scripts.walk_revisions()}:
        return target
    if steps and not steps.strip("0"):
        raise UnknownRevisionError(f"{target} steps undo nothing")
    if len(steps) > 3 or not steps.isdecimal() or steps.startswith("0"):
        return target
    return f"-{steps}"


def require_reversible(scripts: Sequence[Script]) -> None:
    """Raise `RefusedError` if a revision says that it cannot be undone, or merges two others."""
    refuse_merges(scripts)
    for script in scripts:
        if reason := getattr(script.module, "irreversible", None):
            raise RefusedError(
                f"{script.revision} cannot be undone: {reason}."
                " Next: restore a backup, or write a new revision"
            )


def refuse_merges(scripts: Sequence[Script]) -> None:
    """Raise `RefusedError` if a revision merges two others."""
    for script in scripts:
        if script.is_merge_point:
            merged = " and ".join(to_tuple(script.down_revision))
            raise RefusedError(
                f"{script.revision} merges {merged}, so there is no single revision to go back to."
                " Next: restore a backup, or write a new revision"
            )


def confirm(arguments: argparse.Namespace) -> None:
    """Ask for confirmation unless `--yes` was passed; raise `RefusedError` if it is not given."""
    if arguments.yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise RefusedError("stdin is not a terminal; pass --yes to confirm")
    try:
        answer = input("Continue? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise RefusedError("the answer was no")
