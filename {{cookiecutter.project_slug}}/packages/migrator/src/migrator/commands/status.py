"""Shows what is applied, pending, edited and unknown."""

from migrator.calls import Call, Exit, title
from migrator.history import Entry
from migrator.redaction import show_url


def status(call: Call) -> Exit:
    """Print the revision of the database, what is applied, pending, edited and unknown."""
    target = call.target
    with target.reserve(create=False, wait=False):
        found = target.status()
    absent = ", which does not exist yet" if target.is_missing() else ""
    print(f"{target.heading}: {show_url(target.url)}{absent}")
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
