"""The commands of `migrator.main`: each acts on one database, reports, and returns an exit code."""

import argparse
import ast
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from alembic.script import Script
from alembic.util import to_tuple
from sqlalchemy import make_url

from migrator import heads
from migrator.adoption import Adoption
from migrator.database import Database
from migrator.errors import LinterError, RefusedError, UnknownRevisionError
from migrator.history import Entry
from migrator.losses import Loss
from migrator.planning import own_statements
from migrator.redaction import show_url
from migrator.rehearsal import LOCKS
from migrator.repository import Repository
from migrator.scripts import find_scripts, require_one_head
from migrator.status import Status

# How many objects of others a command lists.
SHOWN = 20


class Exit(IntEnum):
    """How a command ended. Automation relies on these numbers."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    LOCKED = 3
    REFUSED = 4
    INTERRUPTED = 130
    TERMINATED = 143


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
    # The command that starts the server of the first database in development, if there is one.
    start_server: str = ""


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
        with target.reserve(create=False, wait=False):
            return show_plan(call)
    if arguments.adopt:
        with target.reserve(create=False):
            return adopt(call)
    with target.reserve(create=True):
        return apply(call)


def adopt(call: Call) -> Exit:
    """Record the revision that a database without one equals, or say what differs."""
    target, wanted = call.target, call.arguments.revision
    before = target.status()
    require_one_head(before.scripts)
    if not before.unversioned:
        print(f"Nothing to adopt: {target.label} is at {before.revision}.")
        return Exit.DONE
    found = target.adopt(None if wanted == "head" else wanted)
    for name in found.others[:SHOWN]:
        print(f"Not of these migrations, and not compared: {name}")
    if more := found.others[SHOWN:]:
        print(f"Not of these migrations, and not compared: {len(more)} more")
    if found.revision:
        show_adoption(call, found)
        return Exit.DONE
    if found.equal:
        return refuse_ambiguous(call, found)
    if found.differences:
        return refuse_different(call, found)
    after = target.status()
    if after.unversioned:
        raise RefusedError(f"no revision can be compared: {found.failure}")
    print(f"Nothing left to adopt: another run has found {target.label} at {after.revision}.")
    return Exit.DONE


def show_adoption(call: Call, found: Adoption) -> None:
    """Print which revision was recorded, and what the comparison cannot know."""
    target = call.target
    print(f"Adopted: {target.label} equals {found.revision}, which is recorded now.")
    print("Not compared: rows, owners, privileges, the order of columns.")
    for script in found.data:
        print(f"Not seen: whether {script.revision} ran, which changes rows only ({title(script)})")
    for table, count in found.missing_rows.items():
        print(f"Missing: {count} row{'s' * (count != 1)} of {table} that the revisions insert")
    if pending := target.status().pending:
        next_command = call.command(call.names.upgrade)
        print(f"Next: {next_command} applies {', '.join(it.revision for it in pending)}.")


def refuse_ambiguous(call: Call, found: Adoption) -> Exit:
    """Say that only rows tell several revisions apart, and how to choose one."""
    names = [script.revision for script in found.equal]
    choices = [
        f"  {call.command(call.names.upgrade, '--adopt', it.revision)}  # {title(it)}"
        for it in found.equal
    ]
    return fail(
        Exit.REFUSED,
        f"Refused, nothing was changed: {call.target.label} equals {' and '.join(names)}, which"
        " differ in rows only. Next: look which of them have changed the rows, and name the last:",
        *choices,
    )


def refuse_different(call: Call, found: Adoption) -> Exit:
    """Say in what a database differs from the nearest revision, and the SQL that would help."""
    assert found.differences is not None
    assert found.nearest is not None
    named = call.arguments.revision != "head"
    equals = "does not equal" if named else "equals no revision; the nearest is"
    nearest = f"{found.nearest.revision} ({title(found.nearest)})"
    lines = [
        f"Refused, nothing was changed: {call.target.label} {equals} {nearest}:",
        *(f"  {line}" for line in found.differences.lines),
    ]
    if found.failure:
        lines.append(f"Later revisions cannot run on a scratch database: {found.failure}")
    if found.differences.sql:
        lines.append("This SQL would make it equal; read it before you execute it:")
        lines += [f"{it}{';' * (not it.startswith('--'))}" for it in found.differences.sql]
    command = call.command(call.names.upgrade, "--adopt")
    return fail(Exit.REFUSED, *lines, f"Next: reconcile them, then run {command} again.")


def apply(call: Call) -> Exit:
    """Apply revisions to a database that no other process can take away."""
    target, arguments = call.target, call.arguments
    target.require_session()
    before = target.status()
    if arguments.accept_edited and before.edited:
        target.accept(before.edited)
        for script in before.edited:
            print(f"Accepted {target.relative_name(script.path)} as it is now.")
        before = target.status()
    # A run that has begun a first revision has tables and no revision; its end is waited for.
    if not before.unversioned:
        target.require_known_state(before)
    pending = before.pending_until(arguments.revision)
    started = time.monotonic()
    applied: list[Script] = []

    def report(script: Script, seconds: float) -> None:
        applied.append(script)
        show_step(script, seconds)

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
        span = f"from {before.revision} to {applied[-1].revision}"
        print(f"Upgraded {target.label} {span} in {seconds:.2f} s.")
        if after.unknown:
            print(f"Another version of the code has taken it to {after.revision} since.")
        print(target.verified)
    return Exit.DONE


def find_missing(after: Status, wanted: Sequence[Script]) -> list[str]:
    """Return a line for each revision that should be applied and is not."""
    if after.unknown:
        return []  # newer code has gone on from there
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
    print(f"\nSQL:\n\n{own_statements(planned.sql)}\n")
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
    if planned.answers:
        print(f"{call.target.label} about each statement:")
        for answer in planned.answers:
            print(f"  {call.target.redact(answer)}")
        print()
    if planned.findings is not None:
        print(f"squawk: {planned.findings or 'no findings'}\n")
    print("Nothing was changed.")
    return Exit.DONE


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
        target.require_known_state(before)
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
    try:
        to_undo = before.revisions_to_undo(step_or_revision(arguments.target or "1"))
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
    lost = target.losses(before, revision)
    print(f"This takes {target.label} from {start} back to {revision}, and deletes:")
    for line in [str(loss) for loss in lost] or ["no table and no column"]:
        print(f"  {line}")
    confirm(arguments)
    steps = Steps(call, before, revision, lost)
    target.downgrade(revision, report=steps.report, check=steps.check)
    after = target.status()
    if steps.has_begun:
        print(f"Downgraded {target.label} from {start} to {after.revision}.")
    else:
        print(f"Nothing left to do: another run has taken {target.label} to {after.revision}.")
    return Exit.DONE


class Steps:
    """A downgrade that undoes what the user was shown, whatever other runs do meanwhile.

    Attributes:
        has_begun: Whether it found the state that it expected.
    """

    def __init__(self, call: Call, before: Status, revision: str, lost: Sequence[Loss]) -> None:
        """Store the state that was shown, where the downgrade ends, and what it deletes."""
        self.call = call
        self.lost = lost
        self.expected = before.start
        self.end = revisions_at(revision)
        self.has_begun = False

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


def step_or_revision(target: str) -> str:
    """Return a number of steps, such as 2 or -2, in Alembic's form; return ids unchanged."""
    steps = target.removeprefix("-")
    is_revision = len(steps) > 3 or not steps.isdigit()
    return target if is_revision else f"-{steps}"


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
    if not sys.stdin.isatty():
        raise RefusedError("stdin is not a terminal; pass --yes to confirm")
    try:
        answer = input("Continue? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise RefusedError("the answer was no")


def status(call: Call) -> Exit:
    """Print the revision of the database, what is applied, pending, edited and unknown."""
    target = call.target
    with target.reserve(create=False, wait=False):
        found = target.status()
    print(f"{target.heading}: {show_url(target.url)}")
    print(f"Revision: {found.revision}")
    print(f"Head:     {' and '.join(found.heads)}")
    if found.unversioned:
        adopting = call.command(call.names.upgrade, "--adopt")
        print(f"Tables of these migrations without a revision: {', '.join(found.unversioned)}")
        print(f"Next: {adopting} finds out which revision they equal, and records it.")
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
    """Write a new revision, or put those of two branches into one line."""
    message = (call.arguments.message or "").strip()
    if call.arguments.rebase is not None and not message:
        return rebase(call)
    if call.arguments.squash and not message:
        return squash(call)
    if not message or call.arguments.rebase is not None or call.arguments.squash:
        example = call.command(call.names.new, '"add users.locale"')
        return fail(Exit.USAGE, f"Say what the migration does: {example}")
    path = call.target.new_revision(call.arguments.message)
    print(f"Wrote {call.target.relative_name(path)}.")
    for finding in call.target.lint_source(path):
        print(f"warning: {finding}")
    if call.target.compares_models and is_empty(path):
        print("It is empty: the models contain nothing that the migrations lack.")
        print("If you changed a model, make sure that migrations/env.py imports its module.")
        print("Delete the file, or complete it, for instance to change rows.")
    else:
        print("Read and complete it before you commit it.")
    return Exit.DONE


def squash(call: Call) -> Exit:
    """Replace the first revisions by one."""
    from migrator.squash import squash

    target, arguments = call.target, call.arguments
    if not target.is_transactional:
        raise RefusedError(f"the revisions of {target.label} are squashed by hand")
    urls = [make_url("sqlite://"), target.url, *map(make_url, arguments.on)]
    targets = {it.get_backend_name(): target.at(it) for it in urls}
    if len(targets) == 1:
        example = call.command(call.names.new, "--squash", arguments.squash, "--on")
        raise RefusedError(
            f"{target.url_setting} is a SQLite database, and the revisions run on PostgreSQL too."
            f" Next: {example} postgresql+psycopg://HOST/DATABASE, a server for a scratch database"
        )
    found = squash(arguments.squash, list(targets.values()))
    names = [script.revision for script in found.replaced]
    print(f"Wrote {target.relative_name(found.path)}, which replaces {', '.join(names)}.")
    print(f"Their files are in {target.relative_name(found.folder)}.")
    print(f"Verified: the same catalogue as before on {' and '.join(found.dialects)}.")
    for script in found.data_steps:
        print(f"Not part of it: {Path(script.path).name} changes rows ({title(script)})")
    for table, count in found.rows.items():
        print(f"Not part of it: {count} row{'s' * (count != 1)} of {table}")
    if found.data_steps:
        print("Next: copy what a new database needs into a revision, and empty data_steps.")
    print(
        f"Databases at {names[-1]} or beyond need nothing. Upgrade those at"
        f" {' or '.join(names[:-1])} to {names[-1]} with the code before this."
    )
    return Exit.DONE


def is_empty(path: Path) -> bool:
    """Return whether a new revision does nothing, either way."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    return not any(isinstance(it, ast.Call) for node in functions for it in ast.walk(node))


def rebase(call: Call) -> Exit:
    """Put the revisions of one branch behind those of another, and say what follows from that."""
    target = call.target
    moves = heads.rebase(target.scripts(), call.arguments.rebase)
    for move in moves:
        names = ", ".join(target.relative_name(script.path) for script in reversed(move.scripts))
        print(f"Moved behind {move.after}: {names}.")
    print(f"Wrote {target.relative_name(heads.head_file(target.scripts()))}.")
    if moves:
        section = [] if target.section == "alembic" else ["--name", target.section]
        print(
            "Databases that have them already lack those before them. On each, yours first:",
            f"  {call.command(call.names.downgrade, moves[0].after)}",
            f"  {shlex.join([find_alembic(target), *section, 'stamp', moves[0].before])}",
            f"  {call.command(call.names.upgrade)}",
            sep="\n",
        )
    return Exit.DONE


def find_alembic(target: Database) -> str:
    """Return how to call the program alembic from the project's folder."""
    program = Path(sys.prefix) / "bin" / "alembic"
    return target.relative_name(program) if program.is_relative_to(target.root) else "alembic"


def lint(call: Call) -> Exit:
    """Print what is wrong with the revisions, and what could not be checked."""
    from migrator.linter.released import find_releases

    target = call.target
    head_file = heads.head_file(find_scripts(target.config()))
    try:
        findings = target.lint()
        unchecked = find_releases(Repository(head_file.parent))[1]
    except LinterError as error:
        return fail(Exit.FAILED, f"{error}.")
    for finding in findings:
        print(finding)
    if any(": head-file " in finding for finding in findings):
        print(f"Next: {call.command(call.names.new, '--rebase')}", file=sys.stderr)
    if unchecked and call.option == call.arguments.option:
        print(f"Not checked: edits of released revisions, because {unchecked}.", file=sys.stderr)
    if not head_file.exists():
        print(
            f"Not checked: forks of the history. Without {target.relative_name(head_file)}, git"
            " merges them silently. The next new revision writes it, or"
            f" {call.command(call.names.new, '--rebase')}.",
            file=sys.stderr,
        )
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
