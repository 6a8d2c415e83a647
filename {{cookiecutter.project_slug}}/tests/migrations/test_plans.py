"""A plan tells what an upgrade would do, and does nothing."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from placeholder_service.db import migrate
from placeholder_service.db.migrate import commands, planning
from placeholder_service.db.migrate.planning import table_locks

from tests.migrations.catalogue import catalogue
from tests.migrations.conftest import WriteRevision

pytestmark = pytest.mark.integration

ADD_COLUMN = """
with op.batch_alter_table("users") as batch:
    batch.add_column(sa.Column("nick", sa.Text))
"""


@pytest.fixture
def squawk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of squawk, which finds what is written to a file."""
    program = tmp_path / "squawk"
    program.write_text(f"#!/bin/sh\ncat '{tmp_path}/findings' 2>/dev/null\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    return tmp_path / "findings"


@pytest.mark.usefixtures("squawk")
def test_a_plan_shows_everything_and_changes_nothing(
    configured: sa.URL, write_revision: WriteRevision, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.main(["upgrade"])
    engine = sa.create_engine(configured, poolclass=sa.NullPool)
    with engine.connect() as connection:
        before = catalogue(connection)
    write_revision("nick", ADD_COLUMN)

    exit_code = commands.main(["upgrade", "--plan"])

    printed = capsys.readouterr().out
    with engine.connect() as connection:
        assert catalogue(connection) == before
    assert exit_code == commands.DONE
    assert "Pending:\n  nick  nick\n" in printed
    assert "ALTER TABLE users ADD COLUMN nick TEXT;" in printed
    assert "which stops" in printed
    assert ("squawk: no findings" in printed) is (engine.dialect.name == "postgresql")
    assert migrate.status().pending[0].revision == "nick"


@pytest.mark.usefixtures("configured")
def test_from_an_empty_schema_a_plan_locks_nothing_that_is_there(
    scratch_url: sa.URL, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.main(["upgrade", "--plan"])

    printed = capsys.readouterr().out
    is_file = scratch_url.get_backend_name() == "sqlite"
    assert "CREATE TABLE users" in printed
    assert ("the whole file: EXCLUSIVE" in printed) is is_file
    assert ("none on tables that are there already" in printed) is not is_file


@pytest.mark.usefixtures("configured")
def test_at_head_there_is_nothing_to_plan(capsys: pytest.CaptureFixture[str]) -> None:
    commands.main(["upgrade"])

    exit_code = commands.main(["upgrade", "--plan"])

    assert exit_code == commands.DONE
    assert "Nothing to do: the database is at" in capsys.readouterr().out


def test_a_plan_can_be_asked_for_on_a_connection(
    scratch_engine: sa.Engine, write_revision: WriteRevision
) -> None:
    with scratch_engine.connect() as connection:
        migrate.upgrade("head", connection)
        write_revision("nick", ADD_COLUMN)

        planned = migrate.plan(connection=connection)

    assert [script.revision for script in planned.pending] == ["nick"]
    assert "ADD COLUMN nick TEXT" in planned.sql


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


def test_what_squawk_finds_is_told(squawk: Path) -> None:
    squawk.write_text("plan.sql:1: warning: careful\n")

    assert planning.squawk("SELECT 1") == "plan.sql:1: warning: careful"


def test_without_squawk_nothing_is_said_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    assert planning.squawk("SELECT 1") is None
