"""A project's commit and two renderings, merged in a scratch repository, then put on a branch.

The old rendering is the base of a three-way merge, the project's commit is one side, the new
rendering the other. Until the result is complete, the project's repository is only read.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from updates.repository import GitError, RefusalError, Repository, Tree

# What is replaced whole: a folder of a library.
LIBRARY = re.compile(r"(packages)/[^/]+(?=/)")
# What is a project's own from its first day: its revisions, and the names of the last ones.
NEVER_DELIVERED = re.compile(r"migrations/(.+/)?(versions/.+|head\.txt)")


@dataclass
class Difference:
    """What the template changed, as far as it concerns a project.

    Attributes:
        old: The files of the old rendering.
        new: The files of the new one.
        deleted: Files that the template changed and the project no longer has. They stay deleted.
        moved: Files that the template changed and the project has under another name.
        edited: Files of the libraries that the project changed. They are replaced.
        linked: Links and submodules in the place of libraries. They stay as they are.

    """

    old: Tree
    new: Tree
    deleted: list[str]
    moved: dict[str, str]
    edited: list[str]
    linked: list[str]

    @property
    def changed(self) -> list[str]:
        """The files that are added, changed or removed."""
        names = sorted({*self.old, *self.new})
        return [name for name in names if self.old.get(name) != self.new.get(name)]

    @property
    def added(self) -> list[str]:
        """The files that are only in the new rendering."""
        return [name for name in self.changed if name not in self.old]


def compare(
    ours: Tree,
    old: Tree,
    new: Tree,
    record: str,
    find_moved: Callable[[Tree], dict[str, str]],
) -> Difference:
    """Return what the template changed, by these rules.

    Libraries and the record are as in the new rendering, whatever the project has there, unless a
    library is a link or a submodule. Revisions are left alone. What the project deleted stays
    deleted; what it moved is merged where it is now.
    """
    names = {*old, *new}
    libraries = {match[0] for name in names if (match := LIBRARY.match(name))}
    old, new = (
        {name: file for name, file in tree.items() if not NEVER_DELIVERED.fullmatch(name)}
        for tree in (old, new)
    )
    edited = []
    linked = set()
    for name in sorted({*ours, *names}):
        match = LIBRARY.match(name)
        if match and (entries := {match[0], match[1]} & ours.keys()):
            linked |= entries
            new.pop(name, None)
        elif match and match[0] in libraries:
            edited += [name] if ours.get(name) not in (old.get(name), new.get(name)) else []
        elif name != record:
            continue
        # A base that equals the project's side lets the new rendering through, whatever it is.
        old.pop(name, None)
        if name in ours:
            old[name] = ours[name]
    gone = sorted(name for name in old if name not in ours)
    found = find_moved(old) if gone else {}
    moved = {name: found[name] for name in gone if name in found and new.get(name) != old[name]}
    gone = [name for name in gone if name not in moved]
    deleted = [name for name in gone if name in new and new[name] != old[name]]
    for name in gone:
        del old[name]
        new.pop(name, None)
    return Difference(old, new, deleted, moved, edited, sorted(linked))


@dataclass(frozen=True)
class Merge:
    """The result of a merge.

    Attributes:
        head: The project's commit.
        change: The commit with the new rendering, on top of one with the old.
        result: The commit with the merge, if it went without conflicts.
        conflicts: The files with conflicts.
        is_empty: Whether the project has all of the change already.

    """

    head: str
    change: str
    result: str | None
    conflicts: list[str]
    is_empty: bool = False


class Merger:
    """The scratch repository, which can read all that the project's has."""

    def __init__(self, project: Repository, scratch: Path, author: dict[str, str]) -> None:
        """Make the repository, with the project's commit checked out."""
        scratch.mkdir()
        self.index = scratch / ".git" / "updates-index"
        self.project = project
        self.prefix = project.git("rev-parse", "--show-prefix").rstrip("\n")
        self.head = project.git("rev-parse", "HEAD").strip()
        self.scratch = Repository(scratch, author)
        kind = project.git("rev-parse", "--show-object-format").strip()
        self.scratch.git("init", "--quiet", f"--object-format={kind}", ".")
        for name, target in (("objects", "objects/info/alternates"), ("shallow", "shallow")):
            found = project.folder / project.git("rev-parse", "--git-path", name).strip()
            if name == "objects":
                (scratch / ".git" / target).write_text(f"{found.resolve()}\n")
            elif found.exists():
                (scratch / ".git" / target).write_bytes(found.read_bytes())

        self.tree = self.scratch.tree(self.head)

    def project_tree(self) -> Tree:
        """Return the files of the project's commit, below its folder."""
        length = len(self.prefix)
        return {
            name[length:]: file for name, file in self.tree.items() if name.startswith(self.prefix)
        }

    def find_moved(self, old: Tree) -> dict[str, str]:
        """Return where the project has files of the old rendering that are no longer in place."""
        options = ("-r", "-z", "--name-status", "--find-renames", "-l7000", "--diff-filter=R")
        base = self.commit(old, "The template as it was")
        words = self.scratch.git("diff-tree", *options, base, self.head).split("\0")
        length = len(self.prefix)
        pairs = zip(words[1::3], words[2::3], strict=True)
        return {before[length:]: after[length:] for before, after in pairs}

    def store(self, rendering: Path) -> Tree:
        """Store the files of a rendering, and return them."""
        return self.scratch.add_folder(rendering, self.index)

    def merge(self, difference: Difference, message: str) -> Merge:
        """Merge a difference into the project's commit.

        Raises:
            GitError: The merge ended in another way than with a result or conflicts.

        """
        self.scratch.git("checkout", "--quiet", "--detach", self.head)
        base = self.commit(difference.old, "The template as it was")
        change = self.commit(difference.new, message, base)
        try:
            self.scratch.git("cherry-pick", "--keep-redundant-commits", change)
        except GitError:
            if not (conflicts := unmerged(self.scratch)):
                raise
            length = len(self.prefix)
            return Merge(self.head, change, None, [name[length:] for name in conflicts])
        result = self.scratch.git("rev-parse", "HEAD").strip()
        is_empty = self.scratch.tree(result) == self.tree
        return Merge(self.head, change, result, [], is_empty)

    def commit(self, tree: Tree, message: str, *parents: str) -> str:
        """Return a commit with the files of a project, which no branch has.

        What is around the project is in it as well, or git would take files of another folder for
        those that the project has moved.
        """
        prefixed = {
            name: file for name, file in self.tree.items() if not name.startswith(self.prefix)
        }
        prefixed |= {self.prefix + name: file for name, file in tree.items()}
        written = self.scratch.write_tree(prefixed, self.index)
        options = [word for parent in parents for word in ("-p", parent)]
        return self.scratch.git("commit-tree", *options, "-m", message, written).strip()

    def deliver(self, merge: Merge, branch: str) -> None:
        """Make a branch of the project's with the result or the conflicts, and check it out.

        Raises:
            GitError: The project is as it was.

        """
        project = self.project
        self.scratch.send([merge.result or merge.change], project, known=self.head)
        if merge.result:
            project.git("checkout", "--quiet", "-b", branch, merge.result)
            return
        before = project.finds("symbolic-ref", "--short", "--quiet", "HEAD") or self.head
        project.git("checkout", "--quiet", "-b", branch)
        try:
            project.git("cherry-pick", merge.change)
        except GitError:
            if unmerged(project):
                return
            project.git("reset", "--hard", "--quiet", self.head)
            project.git("checkout", "--quiet", before)
            project.git("branch", "--quiet", "--delete", "--force", branch)
            raise


def unmerged(repository: Repository) -> list[str]:
    """Return the files that have conflicts."""
    found = repository.git("diff", "--name-only", "--diff-filter=U", "-z")
    return sorted({*found.split("\0")} - {""})


# What git keeps while something else is in progress.
IN_PROGRESS = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")


def refuse_unready(project: Repository) -> None:
    """See to it that nothing of the user's can be lost.

    Raises:
        RefusalError: The project is no repository, or not all of it is committed.

    """
    folder = project.folder
    if not project.finds("rev-parse", "--is-inside-work-tree"):
        raise RefusalError(
            f"{folder} is not in a git repository: an update is a merge. Begin one there with\n"
            "  git init && git add . && git commit -m 'As it is'"
        )
    if not project.commit_of("HEAD"):
        raise RefusalError(
            f"nothing is committed in {folder} yet. Begin with\n"
            "  git add . && git commit -m 'As it is'"
        )
    for name in IN_PROGRESS:
        if (folder / project.git("rev-parse", "--git-path", name).strip()).exists():
            raise RefusalError(
                f"a merge or rebase is in progress in {folder}: finish or abort it first"
            )
    status = ("--no-optional-locks", "status", "--porcelain")
    # Around the project, what git does not know is in nobody's way.
    found = project.git(*status, "--untracked-files=no")
    found += project.git(*status, "--untracked-files=all", "--", ".")
    if changed := dict.fromkeys(found.splitlines()):
        raise RefusalError(
            f"not all of {folder} is committed. Commit it, or add it to .gitignore, and repeat:\n"
            + "\n".join(few(f"  {line}" for line in changed))
        )


def few(lines: Iterable[str], most: int = 20) -> Iterator[str]:
    """Yield lines, and instead of very many of them their number."""
    for number, line in enumerate(lines := list(lines)):
        if number == most:
            yield f"  ... and {len(lines) - most} more"
            return
        yield line
