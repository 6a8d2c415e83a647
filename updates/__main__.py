"""Bring what changed in the template into a project that was rendered from it, on a branch.

Without --apply, it only shows what would change. Exit codes: 0 it was shown, or merged, or there
was nothing to do; 1 refused, and nothing was changed; 3 merged, and conflicts wait to be resolved;
128 and the number of the signal, if one ended it: nothing was changed.
"""

import argparse
import difflib
import json
import re
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

TEMPLATE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TEMPLATE / "hooks"))

from record import DIRTY, NAME, Record, record_text  # noqa: E402

from updates.merging import Difference, Merge, Merger, compare, few, refuse_unready  # noqa: E402
from updates.rendering import Answers, Version  # noqa: E402
from updates.repository import GitError, RefusalError, Repository  # noqa: E402
from updates.schema import operations  # noqa: E402

CONFLICTS = 3
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
    difference = compare(*trees, NAME)
    refuse_overwriting(project.folder, difference)
    merge = merger.merge(difference, f"Template: {old} to {new}")
    branch = f"template-update-{new.number}"
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
    with signals_wait():
        merger.deliver(merge, branch)
    return tell_result(merge, branch)


def read_record(project: Path) -> Record:
    """Return what a project has recorded: nothing, if it is older than records.

    Raises:
        RefusalError: The file is no record.

    """
    path = project / NAME
    if not path.exists():
        return {}
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
        fits = {type(recorded["answers"]), type(recorded["version"])} == {dict, str}
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise RefusalError(
            f"{path} is no record of a rendering: restore it with `git log -p -- {NAME}`, or "
            "delete it, and say what the project was rendered from with FROM= and ARGS="
        )
    return dict(recorded)


def read_answers(arguments: list[str]) -> Answers:
    """Return the answers on the command line.

    Raises:
        RefusalError: One of them is none.

    """
    if wrong := [argument for argument in arguments if "=" not in argument]:
        raise RefusalError(f"{wrong[0]!r} is no answer: write key=value")
    return dict(argument.split("=", 1) for argument in arguments)


def refuse_unknown(given: Answers, questions: dict[str, Any]) -> None:
    """Compare given answers with what is asked.

    Raises:
        RefusalError: One of them answers no question.

    """
    for name in given:
        if name not in questions:
            close = difflib.get_close_matches(name, questions, n=1)
            known = f"did you mean {close[0]}?" if close else f"the keys are {', '.join(questions)}"
            raise RefusalError(f"there is no option {name}: {known}")


def complete(old: Version, given: Answers, project: Path) -> Answers:
    """Return the answers from which a project without a record was rendered.

    Raises:
        RefusalError: Some are missing, or were not offered.

    """
    if missing := [name for name in old.questions if name not in given]:
        lines = []
        for name in missing:
            offered = old.questions[name]
            is_choice = isinstance(offered, list)
            lines.append(f"  {name}={'|'.join(offered) if is_choice else '...'}")
        raise RefusalError(
            f"{project} has no {NAME}: say with ARGS= what it was rendered with. Missing:\n"
            + "\n".join(lines)
        )
    old.refuse_unknown_choices(given)
    return given


def old_version(template: Repository, recorded: Record, given: str) -> Version:
    """Return the version that a project was rendered from.

    Raises:
        RefusalError: It is not known, or not in the template's history.

    """
    if not template.commit_of("HEAD"):
        raise RefusalError(f"{template.folder} is no clone of the template, with its history")
    if given:
        if commit := template.commit_of(given):
            return Version(template, commit)
        raise RefusalError(f"the template has no commit {given}: FROM= names a commit or a tag")
    if not recorded:
        raise RefusalError(
            f"the project has no {NAME}: name the commit or tag that it was rendered from with "
            'FROM=, and its answers with ARGS="key=value ..."'
        )
    number, commit = recorded["version"], (recorded.get("commit") or "").removesuffix(DIRTY)
    # A project from an archive knows no commit; the tag of its version leads to one.
    for name in filter(None, (commit, f"v{number}")):
        if found := template.commit_of(name):
            return Version(template, found)
    names = f"commit {commit}" if commit else f"tag v{number}"
    raise RefusalError(
        f"the project was rendered from version {number}, and the template's history has no "
        f"{names}: name another clone or address with SOURCE=, or the commit with FROM="
    )


def choose_source(recorded: str, given: str, project: Path) -> str:
    """Return what to record as the source. A path never takes the place of an address."""
    folder = Path(project, given or TEMPLATE).resolve()
    if not folder.is_dir():
        return given
    return recorded if recorded and not recorded.startswith("/") else str(folder)


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


def refuse_overwriting(project: Path, difference: Difference) -> None:
    """Spare files that git ignores, which a checkout would overwrite.

    Raises:
        RefusalError: The template has a new file where there is one.

    """
    ours = [name for name in difference.added if (project / name).is_file()]
    tracked = set(Repository(project).git("ls-files", "-z").split("\0"))
    if ignored := [name for name in ours if name not in tracked]:
        raise RefusalError(
            f"the template has a new file {ignored[0]}, where {project} has one that git ignores: "
            "move it away first"
        )


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
    marks = (f"  {mark(name, difference)} {name}" for name in others)
    print(f"\nChanged in the template: {len(libraries)} files of packages/, and {len(others)}:")
    print("\n".join(few(marks, 1000)))
    print_list("You deleted these, and they stay deleted:", difference.deleted)
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


def tell_result(merge: Merge, branch: str) -> int:
    """Print what was done and what comes next, and return the exit code."""
    name = shlex.quote(branch)
    if merge.result:
        print(f"\nMerged. You are on the branch {branch}. Next:\n\n    make check test\n")
        print(f"Then merge the branch; or drop it: git switch - && git branch -D {name}")
        return 0
    print(f"\nYou are on the branch {branch}. Resolve the conflicts in these files, then\n")
    print("    git add . && git cherry-pick --continue && make check test\n")
    print(f"or drop it: git cherry-pick --abort && git switch - && git branch -D {name}\n")
    print("\n".join(merge.conflicts))
    return CONFLICTS


if __name__ == "__main__":
    sys.exit(main())
