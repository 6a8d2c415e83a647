"""A version says the same everywhere, and names one content."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from record import RENDERED

from release import changes, faults
from tests.running import TEMPLATE, Run, succeeded

LIBRARY = "{{cookiecutter.project_slug}}/packages/testdb/pyproject.toml"


def git(run: Run, folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    succeeded(run("git", *author, *arguments, cwd=folder))


def replace(folder: Path, name: str, pattern: str, text: str) -> None:
    path = folder / name
    changed, count = re.subn(pattern, text, path.read_text(), count=1, flags=re.MULTILINE)
    assert count
    path.write_text(changed)


@pytest.fixture
def tagged(run: Run, tmp_path: Path) -> Path:
    """Return a repository with what a version is about, tagged as 7.0.0."""
    for name in (".gitignore", "pyproject.toml", "CHANGELOG.md", "cookiecutter.json", LIBRARY):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TEMPLATE / name, tmp_path / name)
    for name in ("pyproject.toml", LIBRARY):
        replace(tmp_path, name, '^version = ".*"', 'version = "7.0.0"')
    replace(tmp_path, "CHANGELOG.md", "^## .*", "## 7.0.0\n\nNew.\n\n## 6.0.0")
    git(run, tmp_path, "init", "--quiet")
    git(run, tmp_path, "add", ".")
    git(run, tmp_path, "commit", "--quiet", "--message=x")
    git(run, tmp_path, "tag", "v7.0.0")
    return tmp_path


def test_this_version_is_the_same_everywhere() -> None:
    assert list(faults(TEMPLATE)) == []


def test_every_version_of_the_changelog_says_what_changes() -> None:
    described = changes(TEMPLATE)

    assert len(described) >= 4
    assert all(text.startswith("- ") for text in described.values())
    numbers = [[int(part) for part in number.split(".")] for number in described]
    assert numbers == sorted(numbers, reverse=True)


def lower_version(folder: Path, run: Run) -> None:
    replace(folder, "pyproject.toml", '^version = ".*"', 'version = "6.0.0"')
    git(run, folder, "commit", "--quiet", "--all", "--message=x")
    git(run, folder, "tag", "--force", "v7.0.0")
    replace(folder, "pyproject.toml", '^version = ".*"', 'version = "7.0.0"')


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda *_: None, [], id="nothing"),
        pytest.param(
            lambda folder, _: (folder / "README.md").write_text("More.\n"),
            [],
            id="what-no-project-has",
        ),
        pytest.param(
            lambda folder, _: (folder / "cookiecutter.json").write_text("{}\n"),
            ["projects differ from those of the tag v7.0.0: raise the version"],
            id="projects-of-a-tagged-version",
        ),
        pytest.param(
            lambda folder, _: replace(folder, "CHANGELOG.md", "^## .*\n", ""),
            ["CHANGELOG.md begins with 6.0.0, pyproject.toml has 7.0.0"],
            id="no-word-in-the-changelog",
        ),
        pytest.param(
            lambda folder, _: (folder / "CHANGELOG.md").write_text("# Changes\n"),
            ["CHANGELOG.md begins with no version, pyproject.toml has 7.0.0"],
            id="an-empty-changelog",
        ),
        pytest.param(
            lambda folder, _: replace(folder, LIBRARY, '^version = ".*"', 'version = "1.2.3"'),
            [
                f"{LIBRARY} has version 1.2.3, not 7.0.0",
                "projects differ from those of the tag v7.0.0: raise the version",
            ],
            id="a-library",
        ),
        pytest.param(
            lower_version,
            ["the tag v7.0.0 points to a commit with version 6.0.0"],
            id="a-tag-of-another-version",
        ),
    ],
)
def test_a_contradiction_is_found(
    run: Run, tagged: Path, change: Callable[[Path, Run], object], expected: list[str]
) -> None:
    change(tagged, run)

    assert list(faults(tagged)) == expected


def test_a_release_is_tagged_with_its_changes(run: Run, tagged: Path) -> None:
    git(run, tagged, "tag", "--delete", "v7.0.0")
    for name in ("release.py", "hooks/record.py", "hooks/tree.py"):
        (tagged / name).parent.mkdir(exist_ok=True)
        shutil.copy(TEMPLATE / name, tagged / name)
    git(run, tagged, "add", ".")
    git(run, tagged, "config", "user.name", "x")
    git(run, tagged, "config", "user.email", "x@example.com")

    refused = run("python3", "release.py", cwd=tagged)
    git(run, tagged, "commit", "--quiet", "--message=x")
    succeeded(run("python3", "release.py", cwd=tagged))

    assert refused.returncode == 1
    assert "error: not everything is committed" in refused.stderr
    message = succeeded(run("git", "tag", "--list", "--format=%(contents)", "v7.0.0", cwd=tagged))
    assert message.strip() == "New."


def test_what_projects_are_rendered_from_exists() -> None:
    assert [name for name in RENDERED if not (TEMPLATE / name).exists()] == []
