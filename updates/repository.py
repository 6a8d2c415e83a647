"""Git, as updates use it: in any repository, untouched by its hooks and its user's settings."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from record import outside_repositories

from updates.processes import run

# Where a file is in a repository, and what git knows of it: its mode and the id of its content.
Tree = dict[str, tuple[str, str]]

SETTINGS = {
    "commit.gpgSign": "false",
    "core.autocrlf": "false",
    "core.hooksPath": os.devnull,
    "core.quotePath": "false",
    "gc.auto": "0",
    # A file that the template renames keeps a user's changes. Files of the user's own stay in
    # their folders.
    "merge.directoryRenames": "false",
    "merge.renames": "true",
}
OPTIONS = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]


class RefusalError(Exception):
    """The update cannot be done. Nothing was changed; the text says what to do."""


class GitError(Exception):
    """A command of git failed. The text is what it said."""


@dataclass(frozen=True)
class Repository:
    """A folder in a git repository.

    Attributes:
        folder: The folder in which commands run.
        variables: What commands find in their environment, besides the user's own.

    """

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def git(self, *arguments: str | Path, text: str | None = None, **variables: str) -> str:
        """Return what a command of git prints.

        Raises:
            GitError: It failed.

        """
        # Names of files are bytes, and survive as such.
        given = None if text is None else text.encode(errors="surrogateescape")
        return self.raw(*arguments, given=given, **variables).decode(errors="surrogateescape")

    def raw(self, *arguments: str | Path, given: bytes | None = None, **variables: str) -> bytes:
        """Return what a command of git prints, as bytes.

        Raises:
            GitError: It failed.

        """
        outside = {**outside_repositories(), "GIT_LFS_SKIP_SMUDGE": "1"}
        result = run(
            ["git", *OPTIONS, *arguments],
            folder=self.folder,
            environment={**outside, **self.variables, **variables},
            given=given,
        )
        if result.returncode != 0:
            raise GitError((result.stderr or result.stdout).decode(errors="replace").strip())
        return result.stdout

    def finds(self, *arguments: str | Path) -> str:
        """Return what a command prints, without line breaks at its end; nothing if it fails."""
        try:
            return self.git(*arguments).rstrip("\n")
        except GitError:
            return ""

    def commit_of(self, name: str) -> str:
        """Return the commit of a branch, a tag or an abbreviation; nothing if there is none."""
        for known_as in (name, f"origin/{name}"):
            if found := self.finds("rev-parse", "--verify", "--quiet", f"{known_as}^{{commit}}"):
                return found
        return ""

    def tree(self, name: str) -> Tree:
        """Return the files of a commit or tree, below its top."""
        entries = self.git("ls-tree", "-r", "-z", "--full-tree", name).split("\0")[:-1]
        return {
            path: (about.split()[0], about.split()[2])
            for about, path in (entry.split("\t", 1) for entry in entries)
        }

    def write_tree(self, tree: Tree, index: Path) -> str:
        """Return the id of a tree with these files, all of whose contents the repository has."""
        lines = "".join(f"{mode} {content}\t{path}\0" for path, (mode, content) in tree.items())
        index.unlink(missing_ok=True)
        variables = {"GIT_INDEX_FILE": str(index)}
        self.git("update-index", "-z", "--add", "--index-info", text=lines, **variables)
        return self.git("write-tree", **variables).strip()

    def add_folder(self, folder: Path, index: Path) -> Tree:
        """Store the files of a folder in the repository, and return them as a tree."""
        index.unlink(missing_ok=True)
        variables = {"GIT_INDEX_FILE": str(index), "GIT_DIR": str(self.folder / ".git")}
        self.git(
            "-C", folder, "add", "--all", "--force", ".", GIT_WORK_TREE=str(folder), **variables
        )
        return self.tree(self.git("write-tree", GIT_INDEX_FILE=str(index)).strip())

    def send(self, commits: Iterable[str], other: "Repository", *, known: str) -> None:
        """Store commits in another repository that has a known one. No name leads to them."""
        listed = self.raw("rev-list", "--objects", *commits, "--not", known)
        pack = self.raw("pack-objects", "--stdout", "--quiet", given=listed)
        other.raw("unpack-objects", "-q", given=pack)
