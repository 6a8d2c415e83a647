"""`make diff` shows a contributor what users would see change."""

import shutil
from pathlib import Path

import pytest

from tests.running import BIN, TEMPLATE, Run, succeeded

SERVICE = "{{cookiecutter.project_slug}}"


@pytest.fixture
def checkout(run: Run, tmp_path: Path) -> Path:
    """Return a repository with the template and one commit."""
    folder = tmp_path / "template"
    for part in ("hooks", SERVICE):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(TEMPLATE / part, folder / part, ignore=ignored)
    for name in ("cookiecutter.json", "Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy2(TEMPLATE / name, folder)  # as old as they were, so that nothing is installed
    author = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    for command in (("init",), ("add", "."), (*author, "commit", "--message=x")):
        succeeded(run("git", *command, cwd=folder))
    (folder / ".venv").symlink_to(BIN.parent)
    (folder / ".uv").symlink_to(TEMPLATE / ".uv")
    return folder


def diff(run: Run, checkout: Path, *arguments: str) -> str:
    """Return what `make diff` prints for one combination."""
    one = "COMBINATIONS=one session_style=sync ci=none"
    return succeeded(run("make", "diff", one, *arguments, cwd=checkout))


def test_nothing_changes_where_the_template_is_as_it_was(run: Run, checkout: Path) -> None:
    assert diff(run, checkout) == "Nothing changes.\n"


def test_changes_are_shown_as_users_see_them(run: Run, checkout: Path) -> None:
    script = checkout / SERVICE / "scripts" / "seed.py"
    script.write_text(script.read_text() + "\n\nasync def more() -> None: ...\n")
    workflow = checkout / SERVICE / ".github" / "workflows" / "ci.yml"
    workflow.write_text(workflow.read_text() + "# more\n")

    shown = diff(run, checkout, "BASE=HEAD")

    assert "scripts/seed.py | 3 +++" in shown
    assert "+def more() -> None: ..." in shown
    assert "ci.yml" not in shown
    assert not (checkout / ".diff").exists()


def test_an_unknown_commit_is_refused(run: Run, checkout: Path) -> None:
    result = run("make", "diff", "BASE=nonsense", cwd=checkout)

    assert result.returncode != 0
    assert "nonsense" in result.stderr
