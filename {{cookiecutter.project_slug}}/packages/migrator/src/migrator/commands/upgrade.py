"""Applies revisions, shows what that would do, or records which one a database equals."""

import time
from collections.abc import Sequence

from alembic.script import Script

from migrator.calls import Call, Exit, fail, show_step, title
from migrator.redaction import show_url
from migrator.status import Status, require_known_state


def upgrade(call: Call) -> Exit:
    """Apply revisions, verify the result, and report what changed."""
    target, arguments = call.target, call.arguments
    target.require_lasting()
    if arguments.plan:
        with target.reserve(create=False, wait=False):
            return show_plan(call)
    if arguments.adopt:
        from migrator.commands.adopt import adopt

        with target.reserve(create=False):
            return adopt(call)
    is_missing = target.is_missing()
    with target.reserve(create=True):
        return apply(call, is_missing=is_missing)


def apply(call: Call, *, is_missing: bool) -> Exit:
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
        require_known_state(target, before)
    pending = before.pending_until(arguments.revision)
    started = time.monotonic()
    applied: list[Script] = []

    def report(script: Script, seconds: float) -> None:
        applied.append(script)
        show_step(script, seconds)

    if pending:
        if is_missing:
            print(f"Creating {show_url(target.url)}.", flush=True)
        target.upgrade(pending[-1].revision, report=report)
    after = target.status() if pending else before
    faults = [*target.faults(), *find_missing(after, pending)]
    if faults:
        first = f"Failed: {target.label} is at {after.revision}, but it is not sound:"
        return fail(Exit.FAILED, first, *(f"  {fault}" for fault in faults))
    if pending:
        say_what_changed(call, before, after, applied, time.monotonic() - started)
    else:
        say_nothing_to_do(call, after)
    return Exit.DONE


def say_what_changed(
    call: Call, before: Status, after: Status, applied: Sequence[Script], seconds: float
) -> None:
    """Say from where to where a run has brought the database, if it was this one."""
    target = call.target
    if not applied:
        print(f"Nothing left to do: another run has upgraded {target.label} to {after.revision}.")
        return
    span = f"from {before.revision} to {applied[-1].revision}"
    print(f"Upgraded {target.label} {span} in {seconds:.2f} s.")
    if after.unknown:
        print(f"Another version of the code has taken it to {after.revision} since.")
    print(target.verified)


def say_nothing_to_do(call: Call, found: Status) -> None:
    """Say where the database is. If it is past the revision that was passed, say what goes back."""
    wanted = call.arguments.revision
    print(f"Nothing to do: {call.target.label} is at {found.revision}.")
    if found.beyond(wanted):
        print(f"To go back: {call.command(call.names.downgrade, wanted)}")


def find_missing(after: Status, wanted: Sequence[Script]) -> list[str]:
    """Return a line for each revision that should be applied and is not."""
    if after.unknown:
        return []  # newer code has gone on from there
    missing = {script.revision for script in wanted} & {it.revision for it in after.pending}
    return [f"revision {revision} is not applied" for revision in sorted(missing)]


def show_plan(call: Call) -> Exit:
    """Print what an upgrade would do."""
    from migrator.planning import own_statements
    from migrator.rehearsal import LOCKS

    planned = call.target.plan(call.arguments.revision)
    if not planned.pending:
        say_nothing_to_do(call, call.target.status())
        return Exit.DONE
    absent = f", {show_url(call.target.url)}, which does not exist yet"
    print(f"Pending in {call.target.label}{absent if call.target.is_missing() else ''}:")
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
