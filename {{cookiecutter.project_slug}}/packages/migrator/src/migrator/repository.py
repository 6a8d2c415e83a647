"""Asks git about the project. Everything works without git as well: then there is no answer."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# A hook gets them from git, for another folder than the one that is asked about.
OF_HOOKS = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_WORK_TREE")

# The base branch is the first of them that exists.
BRANCHES = ("origin/main", "main", "origin/HEAD", "origin/master", "master")


@dataclass(frozen=True)
class Repository:
    """The git repository that a folder lies in, if it does."""

    folder: Path  # where git runs; names of files in questions and answers are relative to it

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run git. A missing git fails like any other command."""
        program = shutil.which("git")
        if program is None:
            return subprocess.CompletedProcess(["git"], 127, "", "git is not installed")
        hidden = {name: value for name, value in os.environ.items() if name not in OF_HOOKS}
        return subprocess.run(
            [program, *arguments],
            cwd=self.folder,
            # Reading must not lock the index, which a commit that runs this as its hook has open.
            env={**hidden, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )

    def ask(self, *arguments: str) -> str:
        """Return what git prints; empty if it fails."""
        done = self.run(*arguments)
        return done.stdout.strip() if done.returncode == 0 else ""

    def commit(self, name: str) -> str:
        """Return the id of the commit that a name means; empty if it means none."""
        return self.ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")

    def first_of(self, names: Iterable[str]) -> str:
        """Return the first name that means a commit; empty if none does."""
        return next((name for name in names if self.commit(name)), "")

    def text(self, commit: str, name: str) -> str:
        """Return the text of a file in a commit; empty if it is not there."""
        done = self.run("show", f"{commit}:./{name}")
        return done.stdout if done.returncode == 0 else ""

    def has(self, commit: str, path: str | Path) -> bool:
        """Tell whether a commit has a file."""
        name = os.path.relpath(path, self.folder.resolve())
        return bool(commit) and self.run("cat-file", "-e", f"{commit}:./{name}").returncode == 0

    def changed_since(self, commit: str, folder: str) -> list[str]:
        """Return the files below a folder that were changed or removed since a commit."""
        options = ("--relative", "--name-only", "--no-renames", "--diff-filter=a", "-z")
        return [*filter(None, self.ask("diff", *options, commit, "--", folder).split("\0"))]

    @property
    def is_shallow(self) -> bool:
        """Whether the history was cut off when it was fetched."""
        return self.ask("rev-parse", "--is-shallow-repository") == "true"

    def why_absent(self) -> str:
        """Return why git cannot tell anything here; empty if it can."""
        done = self.run("rev-parse", "--is-inside-work-tree")
        if done.stdout.strip() == "true":
            return ""
        if "not a git repository" in done.stderr:
            return "this is not a git repository"
        return (done.stderr.strip().splitlines() or ["git has no files here"])[0]
