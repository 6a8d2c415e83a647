"""Bring what changed in the template into a project that was rendered from it, on a branch.

Without --apply, it only shows what would change. Exit codes: 0 it was shown, or merged, or there
was nothing to do; 1 refused, and nothing was changed; 3 merged, and conflicts wait to be resolved;
128 and the number of the signal, if one ended it: nothing was changed.
"""

import argparse
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from record import NAME, record_text

from updates import TEMPLATE
from updates.merging import Merger, compare, refuse_unready
from updates.rendering import Version
from updates.report import tell_changes, tell_history, tell_result
from updates.repository import GitError, RefusalError, Repository
from updates.request import (
    choose_source,
    complete,
    old_version,
    read_answers,
    read_record,
    refuse_unknown,
)
from updates.schema import operations

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Update a project, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="make update", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("project", type=Path, help="the folder of the rendered project")
    parser.add_argument("answers", nargs="*", metavar="key=value", help="other or more answers")
    parser.add_argument("--source", default="", help="the template's path or address, to record")
    parser.add_argument("--from", default="", dest="old", help="the commit it was rendered from")
    parser.add_argument("--to", default="HEAD", dest="new", help="the branch, tag or commit")
    parser.add_argument("--apply", action="store_true", help="merge it on a branch")
    options = parser.parse_args()
    for number in SIGNALS:
        signal.signal(number, stop)
    try:
        with tempfile.TemporaryDirectory(prefix="update-") as scratch:
            return update(options, Path(scratch).resolve())
    except (RefusalError, GitError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def stop(number: int, _: FrameType | None) -> NoReturn:
    """End on a signal. What was begun in the scratch folder is removed on the way out."""
    sys.exit(128 + number)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Let signals wait for the end of a short step that is to be done whole."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def update(options: argparse.Namespace, scratch: Path) -> int:
    """Show the update or do it, and return the exit code.

    Raises:
        RefusalError, GitError: Nothing was changed.

    """
    template, project = Repository(TEMPLATE), Repository(options.project.resolve())
    if not project.folder.is_dir():
        raise RefusalError(f"there is no folder {project.folder}: name the project's")
    if project.folder == TEMPLATE:
        raise RefusalError("name the folder of the project: PROJECT=../my-service")
    refuse_unready(project)
    recorded = read_record(project.folder)
    given = read_answers(options.answers)
    old = old_version(template, recorded, options.old)
    new = Version(template, template.commit_of(options.new))
    source = choose_source(recorded.get("source", ""), options.source, project.folder)
    if not new.commit:
        raise RefusalError(f"{source} has no branch, tag or commit {options.new}")
    if is_done(template, old, new, options.new) and not given:
        print(f"Nothing to do: the project is at {old}, and {source} at {new}.")
        return 0

    answers = {**recorded.get("answers", {}), **given}
    before = recorded.get("answers") or complete(old, given, project.folder)
    refuse_unknown(given, {**old.questions, **new.questions})
    new.refuse_unknown_choices(answers)
    old_rendering, _ = old.render(before, scratch / "old")
    new_rendering, answered = new.render(answers, scratch / "new")
    written = {"version": new.number, "commit": new.commit, "source": source, "answers": answered}
    (new_rendering / NAME).write_text(record_text(written), encoding="utf-8")

    merger = Merger(project, scratch / "merge", author(project, required=options.apply))
    trees = (merger.project_tree(), merger.store(old_rendering), merger.store(new_rendering))
    difference = compare(*trees, NAME, merger.find_moved)
    refuse_overwriting(project, difference.added)
    merge = merger.merge(difference, f"Template: {old} to {new}")
    if merge.is_empty:
        print(f"Nothing to do: the project has all that {new} would change.")
        return 0
    # Of several services in a repository, each has a branch of its own.
    folder = re.sub(r"[^\w-]+", "-", merger.prefix.rstrip("/"))
    branch = "-".join(filter(None, ("template-update", folder, new.number)))
    if new.number == old.number:
        branch += f"-{new.commit[:7]}"

    print(f"{project.folder.name}: template {old} to {new}, from {source}")
    tell_history(recorded, old, new, before, answered)
    known = {*operations(old_rendering)}
    gained = [line for line in operations(new_rendering) if line not in known]
    tell_changes(difference, merge, gained)
    if not options.apply:
        print("\nNothing was changed. To merge this on a branch, add APPLY=1.")
        return 0
    if project.commit_of(f"refs/heads/{branch}"):
        raise RefusalError(
            f"there is a branch {branch}, of an earlier update: merge it, or delete it with\n"
            f"  git branch -D {branch}"
        )
    is_on_branch = project.finds("symbolic-ref", "--quiet", "HEAD")
    back = "git switch -" if is_on_branch else f"git switch --detach {merge.head}"
    with signals_wait():
        merger.deliver(merge, branch)
    return tell_result(merge, branch, back)


def is_done(template: Repository, old: Version, new: Version, asked: str) -> bool:
    """Tell whether a project has the new version, or is ahead of it and not asked to go back."""
    if asked != "HEAD":
        return old.commit == new.commit
    return template.finds("merge-base", old.commit, new.commit) == new.commit


def author(project: Repository, *, required: bool) -> dict[str, str]:
    """Return who commits, as git knows the project's user.

    Raises:
        RefusalError: Git does not know, and has to.

    """
    known = project.finds("var", "GIT_AUTHOR_IDENT")
    found = re.fullmatch(r"(.+) <(.+)> \S+ \S+", known)
    if required and not found:
        raise RefusalError(
            "git does not know who commits: set it with\n"
            "  git config user.name '...' && git config user.email '...'"
        )
    name, email = (found[1], found[2]) if found else ("nobody", "nobody@localhost")
    roles = ("AUTHOR", "COMMITTER")
    names = {f"GIT_{role}_NAME": name for role in roles}
    return names | {f"GIT_{role}_EMAIL": email for role in roles}


def refuse_overwriting(project: Repository, added: list[str]) -> None:
    """Spare files that git ignores, which a checkout would overwrite or remove.

    Raises:
        RefusalError: The template has a new file where there is one.

    """
    tracked = set(project.git("ls-files", "-z").split("\0"))
    for name in added:
        for ignored in in_the_way(project.folder, name):
            if ignored not in tracked:
                raise RefusalError(
                    f"the template has a new file {name}, and {project.folder} has {ignored}, "
                    "which git ignores: move it away first"
                )


def in_the_way(folder: Path, name: str) -> Iterator[str]:
    """Yield the files and links that give way where a file of this name is written."""
    path = folder / name
    for place in (*reversed(path.relative_to(folder).parents), Path(name)):
        found = folder / place
        if os.path.lexists(found) and (found.is_symlink() or not found.is_dir()):
            yield place.as_posix()
            return
    for found in path.rglob("*"):
        if found.is_symlink() or not found.is_dir():
            yield found.relative_to(folder).as_posix()


if __name__ == "__main__":
    sys.exit(main())
