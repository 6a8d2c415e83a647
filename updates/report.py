"""What an update prints: how the versions differ, what it changes, and what comes next."""

import re
import shlex

from record import DIRTY, NAME, Record

from updates.merging import Difference, Merge, few
from updates.rendering import Answers, Version

CONFLICTS = 3


def tell_history(
    recorded: Record, old: Version, new: Version, before: Answers, answered: Answers
) -> None:
    """Print how the versions differ."""
    if (recorded.get("commit") or "").endswith(DIRTY):
        print("It was rendered from changes that were not committed: they count as yours.")
    questions = {**old.questions, **new.questions}
    for name in questions:
        if name not in answered:
            print(f"No longer asked: {name} (it was {before.get(name)})")
        elif name not in before:
            print(f"New question: {name}={answered[name]}  (another answer: ARGS={name}=...)")
        elif before[name] != answered[name]:
            print(f"Another answer: {name}={answered[name]} (it was {before[name]})")
    known = {section.partition("\n")[0] for section in sections(old)}
    for section in sections(new):
        if section.partition("\n")[0] not in known:
            print(f"\n{section.strip()}")


def sections(version: Version) -> list[str]:
    """Return the sections of a version's changelog, each with its heading, the newest first."""
    return re.split(r"^(?=## )", version.read("CHANGELOG.md"), flags=re.MULTILINE)[1:]


def tell_changes(difference: Difference, merge: Merge, gained: list[str]) -> None:
    """Print what the update does to the project."""
    changed = [name for name in difference.changed if name != NAME]
    libraries = [name for name in changed if name.startswith("packages/")]
    print_list(
        f"Replaced with packages/: {len(libraries)} files. You changed these, which is lost:",
        difference.edited,
    )
    others = [name for name in changed if name not in libraries]
    marks = [f"  {mark(name, difference)} {name}" for name in others]
    count = f"{len(libraries)} files of packages/, and {len(others)} others"
    print(f"\nChanged in the template: {count}{':' if others else ''}")
    if others:
        print("\n".join(few(marks, 1000)))
    print_list(
        "These are links or submodules, and stay as they are; update them where they come from:",
        difference.linked,
    )
    print_list("You deleted these, and they stay deleted:", difference.deleted)
    print_list(
        "You moved these; the change is merged where they are now:",
        [f"{before} -> {after}" for before, after in difference.moved.items()],
    )
    print_list("Changed by you at the same places, so there are conflicts:", merge.conflicts)
    print_list(
        "The template's schema gained this. Your revisions stay as they are: merge, then write one "
        'with\n`scripts/new-migration.sh "..."`, and compare it with this list:',
        gained,
    )


def mark(name: str, difference: Difference) -> str:
    """Return the sign of a change, as git prints it."""
    return "A" if name not in difference.old else "D" if name not in difference.new else "M"


def print_list(title: str, lines: list[str]) -> None:
    """Print lines with a title, if there are any."""
    if lines:
        print(f"\n{title}\n" + "\n".join(f"  {line}" for line in lines))


def tell_result(merge: Merge, branch: str, back: str) -> int:
    """Print what was done, what comes next, and how to go back; return the exit code."""
    name = shlex.quote(branch)
    if merge.result:
        print(f"\nMerged. You are on the branch {branch}. Next:\n\n    make check test\n")
        print(f"Then merge the branch; or drop it: {back} && git branch -D {name}")
        return 0
    print(f"\nYou are on the branch {branch}. Resolve the conflicts in these files, then\n")
    print("    git add . && git cherry-pick --continue && make check test\n")
    print(f"or drop it: git cherry-pick --abort && {back} && git branch -D {name}\n")
    print("\n".join(merge.conflicts))
    return CONFLICTS
