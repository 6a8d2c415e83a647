"""Revision files that form no single history: the message names the files and the remedy."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from migrator import Database, Exit, RefusedError, main

from tests.migrator.project import HEAD, Project

ADD_COLUMN = 'op.add_column("authors", sa.Column("nick", sa.Text))'
COMMANDS = (["upgrade"], ["upgrade", "--plan"], ["downgrade", "--yes"], ["status"], ["new", "more"])


def delete_from_the_middle(project: Project) -> str:
    """Delete a revision that another one follows, and return the message."""
    project.write("gone", "pass")
    project.write("last", "pass")
    (project.versions / "gone.py").unlink()
    return (
        "migrations/versions/last.py follows revision gone, which no file has. Next: restore the"
        " file of gone. If no database has it, set the down_revision of last.py to the revision"
        " before gone."
    )


def copy(project: Project) -> str:
    """Copy a revision, and return the message."""
    path = project.write("first", "pass")
    path.with_name("copy.py").write_text(path.read_text())
    return (
        "migrations/versions/copy.py and migrations/versions/first.py have the same revision id,"
        " first. Next: delete the copy, or give it an id of its own and the other one as its"
        " down_revision."
    )


@pytest.mark.parametrize("break_history", [delete_from_the_middle, copy])
def test_every_command_refuses_a_broken_history(
    sqlite_project: Project,
    capsys: pytest.CaptureFixture[str],
    break_history: Callable[[Project], str],
) -> None:
    message = break_history(sqlite_project.upgraded())

    for command in COMMANDS:
        code = sqlite_project.run(*command)

        assert code == Exit.REFUSED, command
        assert capsys.readouterr().err == f"Refused, nothing was changed: {message}\n", command


@pytest.mark.parametrize(
    ("setting", "missing"),
    [
        ("script_location = .", "there is no env.py in {cwd}; set script_location"),
        (
            "script_location = %(here)s/migrations\nversion_locations = elsewhere",
            "there is no folder {cwd}/elsewhere; set version_locations",
        ),
    ],
)
def test_every_command_refuses_a_configuration_that_leads_to_no_migrations(
    sqlite_project: Project,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    missing: str,
) -> None:
    ini = sqlite_project.database.ini
    text = ini.read_text().replace("script_location = %(here)s/migrations", setting)
    ini.write_text(text)
    monkeypatch.chdir(tmp_path)

    codes = {command[0]: sqlite_project.run(*command) for command in (*COMMANDS, ["lint"])}

    assert set(codes.values()) == {Exit.REFUSED}, codes
    message = (
        f"Refused, nothing was changed: {ini} leads to no migrations:"
        f" {missing.format(cwd=tmp_path)} in it to a path that begins with %(here)s, its own"
        " folder. Others begin in the current folder."
    )
    assert set(capsys.readouterr().err.splitlines()) == {message}


@pytest.fixture
def forked(project: Project) -> Project:
    """Return a project in which two revisions follow the same one."""
    path = project.write("left", ADD_COLUMN, 'op.drop_column("authors", "nick")')
    code = path.read_text().replace("left", "right").replace("nick", "alias")
    path.with_name("right.py").write_text(code)
    return project


def test_two_heads_stop_everything_that_needs_one(
    forked: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = {forked.run("upgrade"), forked.run("new", "more")}
    with pytest.raises(RefusedError, match="2 heads") as caught:
        forked.database.upgrade()

    printed = capsys.readouterr().err.splitlines()
    assert codes == {Exit.REFUSED}
    remedy = "Next: scripts/new-migration.sh --rebase"
    assert {*printed} == {f"Refused, nothing was changed: {caught.value}. {remedy}."}
    assert "2 heads: left, right; one has to follow the other" in str(caught.value)


def test_a_merge_in_the_history_is_passed_upwards_only(
    forked: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = forked.versions / "merge.py"
    code = (forked.versions / "left.py").read_text().replace('"left"', '"merge"')
    code = code.replace("'left'", "'merge'").replace(repr(HEAD), "('left', 'right')")
    path.write_text(code.replace("nick", "name_again"))

    codes = forked.run("upgrade", "--plan"), forked.run("upgrade"), forked.run("downgrade", "--yes")

    printed = capsys.readouterr()
    assert codes == (Exit.DONE, Exit.DONE, Exit.REFUSED)
    assert "ADD COLUMN alias" in printed.out
    assert "ADD COLUMN name_again" in printed.out
    assert (
        "merge merges left and right, so there is no single revision to go back to. Next: restore"
        " a backup, or write a new revision."
    ) in printed.err
    assert forked.database.status().revision == "merge"


def test_an_empty_revision_is_announced(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    sqlite_project.run("new", "nothing")
    sqlite_project.upgraded()
    empty = capsys.readouterr().out
    sqlite_project.write("unlike", ADD_COLUMN)

    sqlite_project.run("new", "the difference")

    assert "It is empty: the models contain nothing that the migrations lack.\n" in empty
    assert "make sure that migrations/env.py imports its module" in empty
    assert "It is empty" not in capsys.readouterr().out


def test_an_empty_revision_is_deleted_as_it_says(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    head, before = (
        sqlite_project.versions.with_name("head.txt"),
        {*sqlite_project.versions.iterdir()},
    )
    sqlite_project.run("new", "nothing")
    printed, named = capsys.readouterr().out, head.read_text()

    (path,) = {*sqlite_project.versions.glob("*.py")} - before
    path.unlink()
    sqlite_project.run("new", "--rebase")

    assert (
        "Or delete it, then run scripts/new-migration.sh --rebase, which corrects head.txt.\n"
        in printed
    )
    assert (named == f"{HEAD}\n", head.read_text()) == (False, f"{HEAD}\n")


@pytest.mark.parametrize("url", ["mysql://me:secret@server/app", "oracle://me:secret@server"])
def test_another_kind_of_database_is_refused_in_one_line(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    def database() -> Database:
        return sqlite_project.database.at(sa.make_url(url))

    code = main(database, ["upgrade"])

    assert code == Exit.REFUSED
    assert capsys.readouterr().err == (
        "Refused, nothing was changed: DATABASE_URL is not a SQLite or PostgreSQL URL; expected"
        " sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE.\n"
    )
