"""Records the revision that a database without one equals, or says what differs."""

from typing import TYPE_CHECKING

from migrator.calls import Call, Exit, fail, title
from migrator.engine import is_sqlite
from migrator.errors import RefusedError
from migrator.scripts import require_one_head

if TYPE_CHECKING:
    from migrator.adoption import Adoption

# How many objects of others a command lists.
SHOWN = 20


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


def show_adoption(call: Call, found: "Adoption") -> None:
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


def refuse_ambiguous(call: Call, found: "Adoption") -> Exit:
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


def refuse_different(call: Call, found: "Adoption") -> Exit:
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
        # Otherwise, the program sqlite3 goes on after an error.
        lines += [".bail on"] if is_sqlite(call.target.url) else []
        lines += [f"{it}{';' * (not it.startswith('--'))}" for it in found.differences.sql]
    command = call.command(call.names.upgrade, "--adopt")
    return fail(Exit.REFUSED, *lines, f"Next: reconcile them, then run {command} again.")
