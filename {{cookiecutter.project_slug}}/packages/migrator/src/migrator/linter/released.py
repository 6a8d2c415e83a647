"""Finds revisions that were edited, renamed or removed since they were released.

A database does not run a revision again, so a change reaches new databases only, and the next
upgrade of the others is refused. Released is what the base branch has, and what the last tag has.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from migrator.errors import LinterError
from migrator.repository import BRANCHES, Repository
from migrator.source import ALLOW, Finding, Revision, text

RULE = "edited"
ADVICE = "restore it and write a new revision, or give a reason: # lint: allow edited because …"


@dataclass(frozen=True)
class Release:
    """A commit whose revisions may have been applied."""

    commit: str  # its id
    name: str  # what leads to it, such as a branch or a tag; for messages


def find_releases(repository: Repository) -> tuple[list[Release], str]:
    """Return the commits to compare with, and why one is missing; empty if none is.

    Raises:
        LinterError: `BASE` names no commit.
    """
    if reason := repository.why_absent():
        return [], reason
    head = repository.commit("HEAD")
    if not head:  # nothing was committed yet
        return [], ""
    base = os.environ.get("BASE", "")
    branch = repository.first_of((base, f"origin/{base}") if base else BRANCHES)
    if base and not branch:
        raise LinterError(f"BASE={base} names no commit here. Next: git fetch, or correct the name")
    fork = repository.ask("merge-base", branch, "HEAD") if branch else ""
    releases = [Release(fork, branch)] if fork else []
    # On the base branch itself, the last commit is compared with the one before it.
    before = "" if base or fork != head else repository.commit("HEAD^")
    tag = "" if base else repository.ask("describe", "--tags", "--abbrev=0")
    if before:
        releases.append(Release(before, "the commit before"))
    if tag:
        releases.append(Release(repository.commit(tag), tag))
    if repository.is_shallow and not (before or tag or fork not in ("", head)):
        return releases, "this clone is shallow. Next: git fetch --unshallow --tags"
    if not releases:
        missing = f"{branch} and HEAD have no commit in common" if branch else "no main, no tag"
        return [], f"{missing}. Next: set BASE to the branch or tag that was released"
    return releases, ""


def find_changes(folder: Path, sources: Mapping[Path, str]) -> Iterator[tuple[Path, Finding]]:
    """Yield what happened to the released revisions of a folder, and where.

    Args:
        folder: A folder of revisions.
        sources: The source of each revision that is there now.
    """
    # Git removes a folder with its last file.
    start = next(it for it in (folder, *folder.parents) if it.is_dir())
    repository = Repository(start)
    releases, _ = find_releases(repository)
    present = {revision_id(source): path for path, source in sources.items()} if releases else {}
    found: set[Path] = set()
    for release in releases:
        for name in repository.changed_since(release.commit, os.path.relpath(folder, start)):
            old = repository.text(release.commit, name)
            revision = revision_id(old) if name.endswith(".py") else ""
            path = start / name
            if not revision or sources.get(path) == old:
                continue
            change, explaining = "edited", [path]
            if path not in sources and revision in present:
                path = present[revision]
                change, explaining = f"renamed from {name}", [path]
            elif path not in sources:
                change, explaining = "removed", [*sources]
            # A reason that was there before is that of an earlier change.
            given = {
                reason
                for it in explaining
                for reason in find_reasons(sources[it])
                - find_reasons(old)
                - find_reasons(repository.text(release.commit, os.path.relpath(it, start)))
            }
            if not given and path not in found:
                found.add(path)
                yield path, Finding(0, RULE, f"was {change} since {release.name} ({ADVICE})")


def find_reasons(source: str) -> set[str]:
    """Return the comments that allow an edit and say why."""
    found = (ALLOW.search(line) for line in source.splitlines())
    return {it.string.strip() for it in found if it and it["rule"] == RULE and it["reason"]}


def revision_id(source: str) -> str:
    """Return the id of a revision; empty if the source is no revision."""
    try:
        values = Revision(source).meanings["revision"]
    except SyntaxError:
        return ""
    return next((text(value) for value in values), "")
