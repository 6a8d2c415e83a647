"""The commands of `migrator.main`: each acts on one database, reports, and returns an exit code."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from alembic.script import Script

from migrator.database import Database
from migrator.errors import LinterError, RefusedError
from migrator.history import Entry
from migrator.rehearsal import LOCKS
from migrator.status import Status


class Exit(IntEnum):
    """How a command ended. Automation relies on these numbers."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    LOCKED = 3
    REFUSED = 4


@dataclass(frozen=True)
class Names:
    """How messages name the commands and settings, so that a reader can act on them."""

    upgrade: str = "migrate upgrade"
    downgrade: str = "migrate downgrade"
    status: str = "migrate status"
    new: str = "migrate new"
    lint: str = "migrate lint"
    wait_seconds: str = "MIGRATION_WAIT_SECONDS"
    lock_timeout_ms: str = "MIGRATION_LOCK_TIMEOUT_MS"


@dataclass(frozen=True)
class Call:
    """One command on one database.

    Attributes:
        target: The migrations of the database.
        arguments: The arguments of the command. A downgrade replaces a number of steps by the
            revision that it means.
        names: How messages name commands and settings.
        option: The option that selects this database, such as `--analytics`; empty for the first.
    """

    target: Database
    arguments: argparse.Namespace
    names: Names
    option: str = ""

    def command(self, name: str, *words: str) -> str:
        """Return a command on this database, for messages."""
        return " ".join(filter(None, (name, self.option, *words)))


def upgrade(call: Call) -> Exit:
    """Apply revisions, verify the result, and report what changed."""
    target, arguments = call.target, call.arguments
    target.require_lasting()
    if arguments.plan:
        return show_plan(call)
    before = target.status()
    if arguments.accept_edited and before.edited:
        target.accept(before.edited)
        for script in before.edited:
            print(f"Accepted {target.relative_name(script.path)} as it is now.")
        before = target.status()
    target.require_known_state(before)
    pending = before.pending_until(arguments.revision)
    started = time.monotonic()
    applied: list[Script] = []

    def report(script: Script, seconds: float) -> None:
        applied.append(script)
        show_step(script, seconds)

    with target.reserve():
        if pending:
            target.upgrade(pending[-1].revision, report=report)
        after = target.status()
        faults = [*target.faults(), *find_missing(after, pending)]
    if faults:
        first = f"Failed: {target.label} is at {after.revision}, but it is not sound:"
        return fail(Exit.FAILED, first, *(f"  {fault}" for fault in faults))
    if not pending:
        print(f"Nothing to do: {target.label} is at {after.revision}.")
    elif not applied:
        print(f"Nothing left to do: another run has upgraded {target.label} to {after.revision}.")
    else:
        seconds = time.monotonic() - started
        span = f"from {before.revision} to {after.revision}"
        print(f"Upgraded {target.label} {span} in {seconds:.2f} s.")
        print(target.verified)
    return Exit.DONE


def find_missing(after: Status, wanted: Sequence[Script]) -> list[str]:
    """Return a line for each revision that should be applied and is not."""
    missing = {script.revision for script in wanted} & {it.revision for it in after.pending}
    return [f"revision {revision} is not applied" for revision in sorted(missing)]


def show_plan(call: Call) -> Exit:
    """Print what an upgrade would do."""
    planned = call.target.plan(call.arguments.revision)
    if not planned.pending:
        print(f"Nothing to do: {call.target.label} is at {call.target.status().revision}.")
        return Exit.DONE
    print(f"Pending in {call.target.label}:")
    for script in planned.pending:
        print(f"  {script.revision}  {title(script)}")
    print(f"\nSQL:\n\n{planned.sql.strip()}\n")
    if planned.locks is not None:
        print("Locks:")
        for name, lock in planned.locks.items():
            count = planned.rows.get(name)
            rows = "" if count is None else f" (about {count:,} row{'s' * (count != 1)})"
            print(f"  {name}{rows}: {lock}, which blocks {LOCKS[lock]}")
        for reason in planned.unknown:
            print(f"  not known: {call.target.redact(reason)}")
        if not planned.locks and not planned.unknown:
            print("  none on existing tables")
        print()
    if planned.findings is not None:
        print(f"squawk: {planned.findings or 'no findings'}\n")
    print("Nothing was changed.")
    return Exit.DONE


def downgrade(call: Call) -> Exit:
    """Undo revisions, unless that is unwanted or unsafe, and report what changed."""
    target, arguments = call.target, call.arguments
    before = target.status()
    if not before.start:
        print(f"Nothing to do: {target.label} has no schema.")
        return Exit.DONE
    if target.production and not (arguments.allow_production and arguments.target):
        example = call.command(call.names.downgrade, "--allow-production", "REVISION")
        raise RefusedError(
            "a downgrade deletes data, and this is production: you must also pass"
            f" --allow-production and name the revision. Next: {example}"
        )
    if before.unknown:
        target.require_known_state(before)
    to_undo = before.revisions_to_undo(step_or_revision(arguments.target or "1"))
    if not to_undo:
        print(f"Nothing to do: {target.label} is at {before.revision}.")
        return Exit.DONE
    require_reversible(to_undo)
    revision = to_undo[-1].down_revision or "base"
    assert isinstance(revision, str), "the history is linear"
    # A number of steps would start again from where an interrupted run stopped.
    arguments.target = revision
    start = " and ".join(before.start)
    lost = target.losses(before, revision)
    print(f"This takes {target.label} from {start} back to {revision}, and deletes:")
    for line in [str(loss) for loss in lost] or ["no table and no column"]:
        print(f"  {line}")
    confirm(arguments)
    if path := target.back_up(before, lost):
        print(f"Backup: {path}, verified.")
    with target.reserve():
        target.downgrade(revision, report=show_step)
        after = target.status()
    print(f"Downgraded {target.label} from {start} to {after.revision}.")
    return Exit.DONE


def step_or_revision(target: str) -> str:
    """Return a number of steps, such as 2 or -2, in Alembic's form; return ids unchanged."""
    steps = target.removeprefix("-")
    is_revision = len(steps) > 3 or not steps.isdigit()
    return target if is_revision else f"-{steps}"


def require_reversible(scripts: Sequence[Script]) -> None:
    """Raise `RefusedError` if a revision says that it cannot be undone."""
    for script in scripts:
        if reason := getattr(script.module, "irreversible", None):
            raise RefusedError(
                f"{script.revision} cannot be undone: {reason}."
                " Next: restore a backup, or write a new revision"
            )


def confirm(arguments: argparse.Namespace) -> None:
    """Ask for confirmation unless `--yes` was passed; raise `RefusedError` if it is not given."""
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise RefusedError("stdin is not a terminal; pass --yes to confirm")
    if input("Continue? [y/N] ").strip().lower() not in ("y", "yes"):
        raise RefusedError("the answer was no")


def status(call: Call) -> Exit:
    """Print the revision of the database, what is applied, pending, edited and unknown."""
    target = call.target
    found = target.status()
    print(f"{target.heading}: {target.redact(repr(target.url))}")
    print(f"Revision: {found.revision}")
    print(f"Head:     {' and '.join(found.heads)}")
    for script in found.applied:
        entry = format_history_entry(found.history.get(script.revision))
        print(f"  applied  {script.revision}  {title(script)}  ({entry})")
    for script in found.pending:
        word = "begun  " if script == found.unfinished else "pending"
        print(f"  {word}  {script.revision}  {title(script)}")
    for script in found.edited:
        print(f"Edited after it was applied: {target.relative_name(script.path)}")
    for revision in found.unknown:
        print(f"Not in these migrations: {revision}")
    return Exit.DONE


def format_history_entry(entry: Entry | None) -> str:
    """Return when, by whom and how fast a revision was applied."""
    if entry is None:
        return "before the history began"
    took = "" if entry.seconds is None else f", {entry.seconds:.2f} s"
    return f"{entry.applied_at:%Y-%m-%d %H:%M:%S} UTC by {entry.applied_by}{took}"


def new(call: Call) -> Exit:
    """Write a new revision."""
    if not call.arguments.message.strip():
        example = call.command(call.names.new, '"add users.locale"')
        return fail(Exit.USAGE, f"Say what the migration does: {example}")
    path = call.target.new_revision(call.arguments.message)
    print(f"Wrote {call.target.relative_name(path)}.")
    for finding in call.target.lint_source(path):
        print(f"warning: {finding}")
    print("Read and complete it before you commit it.")
    return Exit.DONE


def lint(call: Call) -> Exit:
    """Print what is wrong with the revisions."""
    try:
        findings = call.target.lint()
    except LinterError as error:
        return fail(Exit.FAILED, f"{error}.")
    for finding in findings:
        print(finding)
    return Exit.FAILED if findings else Exit.DONE


def show_step(script: Script, seconds: float) -> None:
    """Print a line for a revision that ran."""
    print(f"  {script.revision}  {title(script)}  ({seconds:.2f} s)", flush=True)


def title(script: Script) -> str:
    """Return the first line of a revision's docstring."""
    return str(script.doc).rstrip(".")


def fail(code: Exit, *lines: str) -> Exit:
    """Print what went wrong to stderr and return the exit code."""
    print(*lines, sep="\n", file=sys.stderr)
    return code
