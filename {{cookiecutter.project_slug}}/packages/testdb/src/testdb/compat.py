"""Runs the tests of an earlier commit on the migrations of this checkout: old code, new schema.

During a rollout the released code runs on the schema that the new one has migrated. From the
project's folder:

    python -m testdb.compat --base v1.4 tests/integration

Code and tests come from git, in a temporary worktree. The revisions are those of this checkout, and
so are all packages that its environment has installed.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

COMPILED = shutil.ignore_patterns("__pycache__")
FAILED = 1  # of pytest: tests ran, and some failed


class CompatError(Exception):
    """The tests cannot be run. The message says why, and what to do next."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tests, and return the exit code of pytest; 2 if they cannot be run."""
    parser = argparse.ArgumentParser(
        prog="python -m testdb.compat",
        description="Run the tests of an earlier commit on the migrations of this checkout."
        " All other arguments are pytest's.",
    )
    parser.add_argument("--base", default="", help="the commit, branch or tag; default: last tag")
    arguments, of_pytest = parser.parse_known_args(argv)
    root = Path.cwd()
    # As an error, so that the worktree is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        base = arguments.base or last_tag(root)
        with worktree(root, base) as old:
            replace_revisions(root, old)
            code = run_pytest(old, of_pytest)
    except (CommandError, CompatError) as error:
        print(f"Not run: {error}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    if code == FAILED:
        print(
            f"The code of {base} fails on the schema of this checkout, so a rollout would break it."
            " Next: let the revisions since then only add, and drop what it uses in a later"
            " release. If its tests fail on its own schema as well, compare with those.",
            file=sys.stderr,
        )
    return code


def last_tag(root: Path) -> str:
    """Return the last tag, or raise `CompatError`."""
    done = git(root, "describe", "--tags", "--abbrev=0")
    if done.returncode != 0:
        raise CompatError(f"git has no tag here: {reason(done)}. Next: name a release, BASE=v1.4")
    return done.stdout.strip()


@contextmanager
def worktree(root: Path, base: str) -> Iterator[Path]:
    """Yield the project's folder as it was in a commit, and remove it afterwards.

    Raises:
        CompatError: Git has no such commit, or the project was not in it.
    """
    folder = git(root, "rev-parse", "--show-prefix").stdout.strip()
    with tempfile.TemporaryDirectory(prefix="compat-") as temporary:
        tree = Path(temporary) / "worktree"
        git(root, "worktree", "prune")  # of runs that were killed
        added = git(root, "worktree", "add", "--quiet", "--detach", str(tree), base, "--")
        try:
            if added.returncode != 0:
                raise CompatError(f"git cannot check {base} out: {reason(added)}")
            if not (tree / folder).is_dir():
                raise CompatError(f"{base} has no folder {folder}")
            yield tree / folder
        finally:
            git(root, "worktree", "remove", "--force", str(tree))


def replace_revisions(root: Path, old: Path) -> None:
    """Replace all revisions of an old checkout by those of this one."""
    now = version_folders(root)
    for section, folders in version_folders(old).items():
        for folder in folders:
            shutil.rmtree(folder)
        # One folder takes all, so that it does not matter where they were.
        for source in now.get(section, ()):
            shutil.copytree(source, folders[0], ignore=COMPILED, dirs_exist_ok=True)


def version_folders(root: Path) -> dict[str, list[Path]]:
    """Return the folders of the revisions, by the section of `alembic.ini`."""
    ini = root / "alembic.ini"
    if not ini.exists():
        raise CompatError(f"{root} has no alembic.ini. Next: run this in the project's folder")
    file = Config(ini).file_config
    found = {}
    for section in file.sections():
        if file.has_option(section, "script_location"):
            scripts = ScriptDirectory.from_config(Config(ini, ini_section=section))
            folders = scripts.version_locations or [scripts.versions]
            found[section] = [Path(folder) for folder in folders]
    return found


def run_pytest(old: Path, arguments: Sequence[str]) -> int:
    """Run the tests of an old checkout on its code, and return the exit code of pytest."""
    # Before the folders that this environment has installed in place.
    path = [str(old / "src"), str(old), os.environ.get("PYTHONPATH", "")]
    coverage = ["--no-cov"] if find_spec("pytest_cov") else []
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *coverage, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    return subprocess.run(command, cwd=old, env=environment, check=False).returncode


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in a folder."""
    program = shutil.which("git")
    if program is None:
        raise CompatError("git is not installed")
    return subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, encoding="utf-8", check=False
    )


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of what git says about a failure."""
    return done.stderr.strip().rpartition("\n")[2].rstrip(".")


if __name__ == "__main__":
    sys.exit(main())
