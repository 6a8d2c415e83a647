"""What a project records of the template it was rendered from."""

import json
import subprocess
from pathlib import Path

import pytest
import record
from record import DIRTY, commit, make_record, record_text, source, version_in


def git(folder: Path, *arguments: str) -> str:
    author = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    result = subprocess.run(
        ["git", *author, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a repository with one commit."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "3.2.1"\n')
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=x")
    return tmp_path


CLONED = [
    ("https://git.example.com/a/t.git", "https://git.example.com/a/t.git"),
    ("https://me:s3cret@git.example.com/a/t.git", "https://git.example.com/a/t.git"),
    ("https://s3cret@git.example.com:8443/a/t.git", "https://git.example.com:8443/a/t.git"),
    ("https://git.example.com/a/t.git?token=s3cret#s3cret", "https://git.example.com/a/t.git"),
    ("ssh://git:s3cret@git.example.com/a/t.git", "ssh://git@git.example.com/a/t.git"),
    ("git@git.example.com:a/t.git", "git@git.example.com:a/t.git"),
    ("file:///srv/git/t.git", "file:///srv/git/t.git"),
]


@pytest.mark.parametrize(("address", "expected"), CLONED)
def test_a_clone_of_cookiecutters_is_recorded_by_its_address(
    checkout: Path, address: str, expected: str
) -> None:
    git(checkout, "remote", "add", "origin", address)

    found = source({"_template": "gh:a/t", "_repo_dir": str(checkout)}, checkout)

    assert found == expected


def test_a_folder_is_recorded_by_its_path(checkout: Path) -> None:
    git(checkout, "remote", "add", "origin", "https://git.example.com/a/t.git")

    assert source({"_template": ".", "_repo_dir": "."}, checkout) == str(checkout)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://me:s3cret@example.com/t.zip", "https://example.com/t.zip"),
        ("t.zip", "{folder}/t.zip"),
        ("{folder}/t.zip", "{folder}/t.zip"),
    ],
)
def test_an_archive_is_recorded_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, expected: str
) -> None:
    (tmp_path / "t.zip").touch()
    (tmp_path / "unpacked").mkdir()
    monkeypatch.setenv("PWD", str(tmp_path))
    context = {"_template": given.format(folder=tmp_path), "_repo_dir": "/unpacked"}

    found = source(context, tmp_path / "unpacked")

    assert found == expected.format(folder=tmp_path)


def test_the_commit_tells_of_changes_that_were_not_committed(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")

    clean = commit(checkout)
    (checkout / "hooks").mkdir()
    (checkout / "hooks" / "more.py").touch()
    changed = commit(checkout)

    assert (clean, changed) == (head, head + DIRTY)


def test_a_project_that_is_rendered_into_the_checkout_is_no_change_of_it(checkout: Path) -> None:
    (checkout / "my-service").mkdir()
    (checkout / "my-service" / "README.md").touch()

    assert commit(checkout) == git(checkout, "rev-parse", "HEAD")


def test_a_folder_in_another_repository_has_no_commit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "vendored").mkdir()
    monkeypatch.setenv("GIT_DIR", str(checkout / ".git"))

    assert commit(checkout / "vendored") is None


def test_a_repository_of_a_hook_is_not_taken_for_the_templates(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path_factory.mktemp("other") / ".git"))

    assert commit(checkout) is not None


def test_git_need_not_be_there(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))

    assert commit(checkout) is None


@pytest.mark.parametrize("text", ["", 'name = "x"\n', '[a]\nmin_version = "3"\n'])
def test_a_template_may_have_no_version(text: str) -> None:
    assert version_in(text) == "0"


def test_a_record_has_a_line_for_each_part_and_none_of_cookiecutters_notes(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "TEMPLATE", checkout)
    answers = {"project_name": 'Ann\'s "Größe"\n\u2028', "ci": "none"}
    context = {**answers, "_template": "x", "_repo_dir": "x", "_output_dir": "x", "__folder": ""}

    text = record_text(make_record(context))

    assert json.loads(text) == {
        "version": "3.2.1",
        "commit": git(checkout, "rev-parse", "HEAD"),
        "source": str(checkout),
        "answers": answers,
    }
    assert text.count("\n") == 6
