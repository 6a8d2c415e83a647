"""The linter compares the revisions with those of the base branch and of the last tag."""

import shutil
from pathlib import Path

import pytest
from migrator import Exit

from tests.migrator.project import Project
from tests.migrator.test_branches import Checkout, start
from tests.running import run, succeeded

HEAD_FILE = "migrations/head.txt:1: head-file does not name the last revision (empty it)"
REASON = "# lint: allow edited because no database has it\n"


@pytest.fixture
def checkout(sqlite_project: Project, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """Return a repository: `last` is on main, and a branch of it is checked out."""
    # Python takes a text of the same length and second for the same one.
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    checkout = start(sqlite_project)
    checkout.commit("last")
    checkout.git("checkout", "--quiet", "-b", "mine")
    return checkout


def last(checkout: Checkout) -> Path:
    """Return the file of the last revision."""
    return checkout.project.versions / "last.py"


def findings(checkout: Checkout) -> list[str]:
    """Return what the linter finds, without the advice."""
    return [line.partition(" (")[0] for line in checkout.migrations.lint()]


def test_what_was_released_stays_unless_a_line_says_why(checkout: Checkout) -> None:
    path, versions = last(checkout), checkout.project.versions
    source = path.read_text()
    next_one = versions / "next.py"
    next_source = source.replace("last", "next").replace("0004", "last")

    def state(text: str | None, renamed: str = "", following: str = "") -> list[str]:
        """Return what is found with the last revision so, and another one behind it."""
        for it in versions.glob("[a-z]*.py"):
            it.unlink()
        if text is not None:
            versions.joinpath(renamed or path.name).write_text(text, newline="")
        if following:
            next_one.write_text(following)
        checkout.run("new", "--rebase")
        return findings(checkout)

    where = "migrations/versions/last.py:1: edited was"
    assert state(source) == []
    assert state(source.replace("\n", "\r\n")) == []
    assert state(source, following=next_source) == []
    assert state(source.replace("pass", "...")) == [f"{where} edited since main"]
    assert state(f"{source}{REASON}") == []
    assert state(f"{source}# lint: allow edited\n") == [f"{where} edited since main"]
    assert state(source, renamed="new.py") == [
        "migrations/versions/new.py:1: edited was renamed from last.py since main"
    ]
    assert state(source + REASON, renamed="new.py") == []
    assert state(None) == [f"{where} removed since main"]
    assert state(None, following=next_source.replace('"last"', '"0004"')) == [
        f"{where} removed since main"
    ]
    assert state(None, following=next_source.replace('"last"', '"0004"') + REASON) == []


def test_a_reason_that_was_released_is_none_for_another_edit(checkout: Checkout) -> None:
    path = last(checkout)
    path.write_text(path.read_text() + REASON)
    checkout.git("commit", "--quiet", "--all", "--message", "edit")
    checkout.git("branch", "--force", "main")
    unchanged = findings(checkout)

    path.write_text(path.read_text().replace("pass", "..."))
    again = findings(checkout)
    path.write_text(path.read_text() + REASON.replace("no", "still no"))

    assert unchanged == []
    assert again == ["migrations/versions/last.py:1: edited was edited since main"]
    assert findings(checkout) == []


def test_an_edit_is_found_wherever_it_was_committed(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = "migrations/versions/last.py:1: edited was edited since"
    path = last(checkout)
    original = path.read_text()
    checkout.git("tag", "v1")
    checkout.git("checkout", "--quiet", "main")

    path.write_text(original.replace("pass", "..."))
    on_main = findings(checkout)
    checkout.git("commit", "--quiet", "--all", "--message", "edit")
    committed = findings(checkout)
    checkout.git("commit", "--quiet", "--allow-empty", "--message", "later")
    later = findings(checkout)
    checkout.git("branch", "--move", "trunk")
    other_name = findings(checkout)
    monkeypatch.setenv("BASE", "trunk")
    by_name = findings(checkout)
    monkeypatch.setenv("BASE", "v1")
    by_tag = findings(checkout)

    assert on_main == [f"{where} main"]
    assert committed == [f"{where} the commit before"]
    assert later == other_name == by_tag == [f"{where} v1"]
    assert by_name == []


def test_revisions_of_a_branch_may_be_edited_until_they_are_merged(checkout: Checkout) -> None:
    checkout.commit("mine")
    path = checkout.project.versions / "mine.py"
    path.write_text(path.read_text().replace("pass", "..."))
    edited = findings(checkout)
    checkout.git("commit", "--quiet", "--all", "--message", "edit")
    # What main has added meanwhile is not missing here.
    checkout.git("checkout", "--quiet", "main")
    checkout.commit("theirs")
    checkout.git("checkout", "--quiet", "mine")

    assert (edited, findings(checkout)) == ([], [])


def test_a_folder_that_was_removed_with_its_revisions_is_compared(checkout: Checkout) -> None:
    checkout.git("rm", "-r", "--quiet", "migrations/versions")
    shutil.rmtree(checkout.project.versions, ignore_errors=True)

    found = checkout.migrations.lint()

    assert [line.partition(" since")[0] for line in found] == [
        f"migrations/versions/{name}.py:1: edited was removed"
        for name in ("0001_authors", "0002_books", "0003_trim_names", "0004_price_and_settings")
    ] + ["migrations/versions/last.py:1: edited was removed", HEAD_FILE]


def test_the_revisions_of_clickhouse_are_compared_as_well(checkout: Checkout) -> None:
    events = Checkout(checkout.project, "--events")
    path = checkout.project.root / "events" / "versions" / "0001_events.py"
    path.write_text(path.read_text() + "\n")

    assert findings(events) == ["events/versions/0001_events.py:1: edited was edited since main"]


def test_what_cannot_be_compared_is_said(
    checkout: Checkout,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, git = checkout.project.root, checkout.project.root / ".git"
    checkout.git("commit", "--quiet", "--allow-empty", "--message", "second")

    def said() -> tuple[int, str]:
        """Return the exit code, and what is printed besides findings."""
        code = checkout.run("lint")
        return code, capsys.readouterr().err.rpartition("because ")[2].strip()

    complete = said()
    git.rename(tmp_path / "full")
    without = said()
    succeeded(run("git", "init", "--quiet", cwd=root))
    no_commit = said()
    succeeded(run("rm", "-r", ".git", cwd=root))
    clone = ["clone", "--quiet", "--depth=1", "--bare", "--branch=mine", f"file://{tmp_path}/full"]
    succeeded(run("git", *clone, str(tmp_path / "shallow"), cwd=tmp_path))
    git.write_text(f"gitdir: {tmp_path}/shallow\n")
    succeeded(run("git", "config", "core.bare", "false", cwd=root))
    shallow = said()
    git.write_text(f"gitdir: {tmp_path}/full\n")
    succeeded(run("git", "branch", "--delete", "--force", "main", cwd=root))
    nothing = said()
    monkeypatch.setenv("BASE", "v7")
    unknown = said()
    monkeypatch.setenv("PATH", str(tmp_path))
    no_git = said()

    assert complete == no_commit == (Exit.DONE, "")
    assert without == (Exit.DONE, "this is not a git repository.")
    assert shallow == (Exit.DONE, "this clone is shallow. Next: git fetch --unshallow --tags.")
    assert nothing == (
        Exit.DONE,
        "no main, no tag. Next: set BASE to the branch or tag that was released.",
    )
    assert unknown[0] == Exit.FAILED
    assert "BASE=v7 names no commit here. Next: git fetch, or correct the name." in unknown[1]
    assert no_git == (Exit.DONE, "git is not installed.")
