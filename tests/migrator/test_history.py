"""Every revision that runs leaves a row: when, by whom, and from which text."""

import getpass
import hashlib
import os
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
import sqlalchemy as sa
from alembic import command
from migrator import Exit
from migrator.history import HISTORY, read_history

from tests.migrator.project import HEAD, REVISIONS, Project

ADD_TABLE = 'op.create_table("tags", sa.Column("id", sa.Integer, primary_key=True))'
DROP_TABLE = 'op.drop_table("tags")'


def test_a_revision_is_recorded(project: Project) -> None:
    path = project.write("tags", ADD_TABLE, DROP_TABLE)

    with project.database.only_run() as connection:
        project.database.upgrade("head", connection)
        entry = read_history(connection)["tags"]

    assert (entry.direction, entry.applied_by.partition("@")[0]) == ("upgrade", getpass.getuser())
    assert entry.checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    assert abs(datetime.now(UTC) - entry.applied_at) < timedelta(minutes=5)
    assert entry.seconds is not None
    assert entry.seconds >= 0


def test_a_downgrade_is_recorded(project: Project) -> None:
    project.write("tags", ADD_TABLE, DROP_TABLE)

    with project.database.only_run() as connection:
        project.database.upgrade("head", connection)
        project.database.downgrade("-1", connection)
        directions = connection.scalars(sa.select(HISTORY.c.direction).order_by(HISTORY.c.id)).all()

    assert directions == ["upgrade"] * (len(REVISIONS) + 1) + ["downgrade"]


def test_a_stamp_does_not_count_as_a_run(project: Project) -> None:
    with project.database.only_run() as connection:
        command.stamp(project.database.config(connection), "head")
        found = read_history(connection)

    assert [entry.direction for entry in found.values()] == ["stamp"]


def test_an_empty_schema_keeps_no_history(project: Project) -> None:
    with project.database.only_run() as connection:
        project.database.upgrade("head", connection)
        project.database.downgrade("base", connection)

        assert read_history(connection) == {}
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]


def test_a_database_of_tests_needs_no_history(project: Project) -> None:
    with project.database.only_run() as connection:
        config = project.database.config(connection)
        config.attributes["history"] = False
        command.upgrade(config, "head")

    assert HISTORY.name not in project.tables()


def test_a_failing_revision_is_not_recorded(project: Project) -> None:
    project.upgraded().write("bad", f'{ADD_TABLE}\nop.execute("SELECT nonsense")')

    code = project.run("upgrade")

    found = project.database.status()
    assert code == Exit.FAILED
    assert [script.revision for script in found.pending] == ["bad"]
    assert "bad" not in found.history


def test_an_edited_revision_is_shown_and_refused_until_it_is_accepted(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project.write("tags", ADD_TABLE)
    project.upgraded()
    path.write_text(path.read_text() + "# Only the formatting differs.\n")
    capsys.readouterr()

    shown = project.run("status"), capsys.readouterr().out
    refused = project.run("upgrade"), capsys.readouterr().err
    accepted = project.run("upgrade", "--accept-edited"), capsys.readouterr().out
    afterwards = project.run("upgrade"), capsys.readouterr().out

    assert shown[0] == Exit.DONE
    assert "Edited after it was applied: migrations/versions/tags.py" in shown[1]
    assert refused[0] == Exit.REFUSED
    assert (
        "migrations/versions/tags.py was edited after it was applied; databases migrated before"
        " and after the edit would differ. Next: restore the file and write a new revision. If no"
        " other database has this one yet, restore the file, undo it with"
        f" scripts/migrate-down.sh {HEAD}, and edit it then. If only formatting changed, pass"
        " --accept-edited.\n"
    ) in refused[1]
    assert accepted[0] == Exit.DONE
    assert accepted[1].startswith("Accepted migrations/versions/tags.py as it is now.\n")
    assert afterwards == (Exit.DONE, "Nothing to do: the database is at tags.\n")


def test_line_endings_are_not_an_edit(project: Project) -> None:
    path = project.write("tags", ADD_TABLE)
    project.upgraded()
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert project.database.status().edited == ()


def test_a_database_from_before_the_history_is_upgraded(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.upgraded().execute(f"DROP TABLE {HISTORY.name}")
    project.write("tags", ADD_TABLE)

    code = project.run("upgrade")
    project.run("status")

    assert code == Exit.DONE
    assert list(project.database.status().history) == ["tags"]
    assert f"applied  {HEAD}  Prices of books, settings of authors  (before the history began)" in (
        capsys.readouterr().out
    )


def test_a_user_without_a_name_can_migrate(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr(getpass, "getuser", nobody)

    code = sqlite_project.run("upgrade")

    names = {entry.applied_by for entry in sqlite_project.database.status().history.values()}
    assert code == Exit.DONE
    assert names == {f"unknown@{os.uname().nodename}"}


def test_printed_sql_takes_the_lock_and_writes_the_history(sqlite_project: Project) -> None:
    config = sqlite_project.database.config()
    config.attributes["url"] = "postgresql://u:100%25@localhost/service"
    config.output_buffer = printed = StringIO()

    command.upgrade(config, "head", sql=True)

    sql = printed.getvalue()
    assert sql.index("SET lock_timeout = 5000") < sql.index("CREATE TABLE authors")
    assert sql.index("pg_try_advisory_lock") < sql.index("CREATE TABLE authors")
    assert "INSERT INTO migration_history" in sql
    assert sql.count("BEGIN;") == sql.count("COMMIT;") == len(REVISIONS)
