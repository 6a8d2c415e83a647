"""What an update is asked for: its answers, its versions, and the source to record."""

import json
from pathlib import Path
from typing import Any

from questions import unknown
from record import DIRTY, NAME, Record

from updates import TEMPLATE
from updates.rendering import Answers, Version
from updates.repository import RefusalError, Repository


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
    if found := list(unknown(given, questions)):
        raise RefusalError("\n".join(found))


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
    # A project from an archive knows no commit; the tag of its version leads to one. A commit that
    # is missing is not replaced: the base would be another one, and the merge wrong.
    if found := template.commit_of(commit or f"v{number}"):
        return Version(template, found)
    names = f"commit {commit}" if commit else f"tag v{number}"
    raise RefusalError(
        f"the project was rendered from version {number}, and the template's history has no "
        f"{names}: name another clone or address with SOURCE=, or with FROM= the commit or tag "
        "that is closest to it"
    )


def choose_source(recorded: str, given: str, project: Path) -> str:
    """Return what to record as the source. A path never takes the place of an address."""
    folder = Path(project, given or TEMPLATE).resolve()
    if not folder.is_dir():
        return given
    return recorded if recorded and not recorded.startswith("/") else str(folder)
