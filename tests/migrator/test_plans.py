"""A plan shows what an upgrade would do, and does nothing."""

import re
from pathlib import Path

import pytest
from migrator import Exit, planning
from migrator.planning import table_locks

from tests.migrator.project import HEAD, Project

AUTHOR = "INSERT INTO authors (id, email, name) VALUES (1, 'ada@example.com', 'Ada')"
SHOWN = "SELECT name || ' ' || CAST(settings AS TEXT) FROM authors"
ADD_COLUMN = """
with op.batch_alter_table("authors") as batch:
    batch.add_column(sa.Column("nick", sa.Text))
"""


@pytest.fixture
def squawk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program in place of squawk, which finds what is written to a file."""
    program = tmp_path / "squawk"
    program.write_text(f"#!/bin/sh\ncat '{tmp_path}/findings' 2>/dev/null\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    return tmp_path / "findings"


@pytest.mark.usefixtures("squawk")
def test_a_plan_shows_everything_and_changes_nothing(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = project.upgraded().catalogue()
    project.write("nick", ADD_COLUMN)

    code = project.run("upgrade", "--plan")

    printed = capsys.readouterr().out
    assert code == Exit.DONE
    assert project.catalogue() == before
    assert "Pending in the database:\n  nick  nick\n" in printed
    assert "ALTER TABLE authors ADD COLUMN nick TEXT;" in printed
    assert "which blocks" in printed
    assert ("squawk: no findings" in printed) is (project.dialect == "postgresql")
    assert printed.endswith("Nothing was changed.\n")
    assert project.database.status().pending[0].revision == "nick"


def test_from_an_empty_schema_a_plan_locks_nothing_that_exists(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.run("upgrade", "--plan")

    printed = capsys.readouterr().out
    is_file = project.dialect == "sqlite"
    assert "CREATE TABLE authors" in printed
    assert ("the file: EXCLUSIVE" in printed) is is_file
    assert ("none on existing tables" in printed) is not is_file


def test_at_head_there_is_nothing_to_plan(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    code = project.upgraded().run("upgrade", "--plan")

    assert code == Exit.DONE
    assert capsys.readouterr().out.endswith(f"Nothing to do: the database is at {HEAD}.\n")


def test_a_plan_can_be_made_on_a_connection(project: Project) -> None:
    with project.database.only_run() as connection:
        project.database.upgrade("head", connection)
        project.write("nick", ADD_COLUMN)

        planned = project.database.plan(connection=connection)

    assert [script.revision for script in planned.pending] == ["nick"]
    assert "ADD COLUMN nick TEXT" in planned.sql


# Texts that are easily taken for something else, as Python and as they are stored.
TEXTS = r"""
op.execute("UPDATE authors SET settings = '{\"default\"\\:true, \"at\"\\:\"12:30\"}'")
op.execute("UPDATE authors SET name = name || ' 100% %s %(x)s :' WHERE email LIKE '%@%'")
op.execute("UPDATE authors SET name = name || CAST(5 % 3 AS TEXT) || ' http://a:b@c' || ' \\:d'")
op.execute(sa.text("UPDATE authors SET name = name || :more").bindparams(more=" it's :e %s"))
"""
STORED = ("Ada 100% %s %(x)s :2 http://a:b@c :d it's :e %s", '{"default":true, "at":"12:30"}')


def test_printed_sql_does_what_a_run_does(project: Project) -> None:
    project.upgraded().execute(AUTHOR)
    project.write("texts", TEXTS)
    stored = []

    printed = project.database.plan().sql
    with project.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        (driver.executescript if project.dialect == "sqlite" else driver.execute)(printed)
        connection.commit()
    stored.append(project.query(SHOWN))
    project.database.downgrade(HEAD)
    project.execute("UPDATE authors SET name = 'Ada', settings = '{}'")
    project.upgraded()
    stored.append(project.query(SHOWN))

    assert stored == [[" ".join(STORED)]] * 2


UNBOUND = [
    "op.execute(\"UPDATE authors SET name = ':x'\")",
    "op.create_table('t', sa.Column('a', sa.Text, sa.CheckConstraint(\"a <> ':x'\", 'c')))",
    "op.add_column('authors', sa.Column('a', sa.Text, server_default=sa.text(\"':x'\")))",
    "op.create_index('i', 'authors', [sa.text(\"(name || ':x')\")])",
]


def test_a_parameter_without_a_value_fails(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.upgraded()
    for number, code in enumerate(UNBOUND):
        path = project.write(f"bad{number}", code)
        for arguments in (["upgrade"], ["upgrade", "--plan"]):
            code_of_exit = project.run(*arguments)

            message = capsys.readouterr().err
            assert code_of_exit == Exit.FAILED, code
            assert re.search(r":x is a parameter|bind parameter 'x'", message), message
            assert project.database.status().revision == HEAD
        path.unlink()


@pytest.mark.parametrize(
    ("sql", "locks"),
    [
        ("CREATE TABLE new (id INT); CREATE INDEX ix ON new (id)", {}),
        ("CREATE TABLE new (id INT REFERENCES old (id))", {"old": "SHARE ROW EXCLUSIVE"}),
        ("CREATE UNIQUE INDEX ix ON old (id)", {"old": "SHARE"}),
        ("CREATE INDEX CONCURRENTLY ix ON old (id)", {"old": "SHARE UPDATE EXCLUSIVE"}),
        ("ALTER TABLE old\n ADD COLUMN a INT", {"old": "ACCESS EXCLUSIVE"}),
        ("ALTER TABLE old VALIDATE CONSTRAINT c", {"old": "SHARE UPDATE EXCLUSIVE"}),
        (
            "ALTER TABLE a ADD CONSTRAINT c FOREIGN KEY (x) REFERENCES b (id)",
            {"a": "SHARE ROW EXCLUSIVE", "b": "SHARE ROW EXCLUSIVE"},
        ),
        ("DROP TABLE old", {"old": "ACCESS EXCLUSIVE"}),
        ("DROP INDEX ix_old", {"ix_old": "ACCESS EXCLUSIVE"}),
        (
            "UPDATE old SET a = 1; DELETE FROM other",
            dict.fromkeys(("old", "other"), "ROW EXCLUSIVE"),
        ),
        ("UPDATE old SET a = 1; DROP TABLE old", {"old": "ACCESS EXCLUSIVE"}),
        ("-- DROP TABLE old\nSELECT 1", {}),
    ],
)
def test_the_strongest_lock_on_each_table_counts(sql: str, locks: dict[str, str]) -> None:
    assert table_locks(sql) == locks


def test_findings_of_squawk_are_shown(squawk: Path, tmp_path: Path) -> None:
    squawk.write_text("plan.sql:1: warning: careful\n")

    assert planning.squawk("SELECT 1", tmp_path) == "plan.sql:1: warning: careful"


def test_without_squawk_a_plan_does_not_mention_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    assert planning.squawk("SELECT 1", tmp_path) is None
