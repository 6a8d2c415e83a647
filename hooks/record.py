"""The record in a project of where it came from: `make update` renders the same again from it."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tree import PROJECT

# As Cookiecutter collected them, with its own notes, whose names begin with an underscore.
Context = Mapping[str, Any]
Record = dict[str, Any]

NAME = ".template.json"
TEMPLATE = PROJECT.parent

# What projects are rendered from.
RENDERED = (PROJECT.name, "hooks", "cookiecutter.json")

# What git sets for its hooks: it would lead to another repository.
OF_A_REPOSITORY = frozenset(
    """
    GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR GIT_DIR GIT_INDEX_FILE GIT_NAMESPACE
    GIT_OBJECT_DIRECTORY GIT_PREFIX GIT_WORK_TREE
    """.split()
)

# Ends the commit of a checkout with changes that were not committed.
DIRTY = "-dirty"


def make_record(context: Context) -> Record:
    """Return what is recorded: version and commit of the template, its source, the answers.

    The source is the path of the template if it was rendered from a folder, and the address
    otherwise. The commit is null if the template was no git checkout; it ends with `-dirty` if
    what is rendered had changes that were not committed.
    """
    return {
        "version": version(TEMPLATE),
        "commit": commit(TEMPLATE),
        "source": source(context, TEMPLATE),
        "answers": {name: value for name, value in context.items() if not name.startswith("_")},
    }


def record_text(record: Record) -> str:
    """Return a record as JSON, each part on a line of its own."""
    parts = (
        f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
        for name, value in record.items()
    )
    return "{\n" + ",\n".join(parts) + "\n}\n"


def version(template: Path) -> str:
    """Return the version that the folder of a template has."""
    return version_in((template / "pyproject.toml").read_text(encoding="utf-8"))


def version_in(metadata: str) -> str:
    """Return the version in a `pyproject.toml`. Hooks may run on a Python without tomllib."""
    found = re.search(r'^version = "(.+)"$', metadata, re.MULTILINE)
    return found[1] if found else "0"


def commit(template: Path) -> str | None:
    """Return the commit that is checked out, if the folder is the top of a checkout."""
    if not (template / ".git").exists():
        return None
    head = git(template, "rev-parse", "HEAD")
    # Without locks, because many renderings may run at once. The rest of the checkout does not
    # count: the project itself may be in it.
    status = ("--no-optional-locks", "status", "--porcelain", "--untracked-files=all")
    changed = git(template, *status, "--", *RENDERED, "pyproject.toml")
    return f"{head}{DIRTY if changed else ''}" if head else None


def source(context: Context, template: Path) -> str:
    """Return where the template came from: a path, or an address without what is secret in it."""
    given, used = str(context["_template"]), str(context["_repo_dir"])
    if given == used:
        return str(template)
    # Cookiecutter has cloned an address, or unpacked an archive into a temporary folder.
    origin = git(template, "remote", "get-url", "origin") if (template / ".git").exists() else ""
    address = origin or given
    if "://" in address:
        return without_secrets(address)
    # An archive is named as seen from where Cookiecutter was started.
    path = Path(os.environ.get("PWD") or "/", address)
    return str(path) if path.exists() else address


def without_secrets(address: str) -> str:
    """Return a URL without password or token, and with the user of SSH, who is no secret."""
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    user = user.partition(":")[0] if parts.scheme.endswith("ssh") else ""
    return urlunsplit((parts.scheme, f"{user}{at if user else ''}{host}", parts.path, "", ""))


def outside_repositories() -> dict[str, str]:
    """Return the variables of the environment, but for those that lead git to a repository."""
    return {name: value for name, value in os.environ.items() if name not in OF_A_REPOSITORY}


def git(folder: Path, *arguments: str) -> str:
    """Return what git says about a folder; nothing where git is missing, or refuses to."""
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=outside_repositories(),
        )
    except FileNotFoundError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
