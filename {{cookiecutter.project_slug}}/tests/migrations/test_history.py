"""Every revision that is run leaves a row that tells when, by whom, and from which text."""

import getpass
import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from placeholder_service.db import migrate
from placeholder_service.db.migrate import commands
from placeholder_service.db.migrate.history import HISTORY, entries

from tests.migrations.conftest import WriteRevision
from tests.migrations.reversible import goes_down_to_base

pytestmark = pytest.mark.integration

ADD_TABLE = 'op.create_table("tags", sa.Column("id", sa.Integer, primary_key=True))'


def test_a_revision_is_written_down_with_what_it_was(
    scratch_engine: sa.Engine, write_revision: WriteRevision
) -> None:
    path = write_revision("tags", ADD_TABLE, 'op.drop_table("tags")')

    with scratch_engine.connect() as connection:
        migrate.upgrade("head", connection)
        entry = entries(connection)["tags"]

    assert (entry.direction, entry.applied_by.partition("@")[0]) == ("upgrade", getpass.getuser())
    assert entry.checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    assert abs(datetime.now(UTC) - entry.applied_at) < timedelta(minutes=1)
    assert entry.seconds is not None
    assert 0 <= entry.seconds < 60


def test_a_downgrade_is_written_down_as_well(
    scratch_engine: sa.Engine, write_revision: WriteRevision
) -> None:
    write_revision("tags", ADD_TABLE, 'op.drop_table("tags")')

    with scratch_engine.connect() as connection:
        migrate.upgrade("head", connection)
        migrate.downgrade("-1", connection)
        directions = connection.scalars(sa.select(HISTORY.c.direction).order_by(HISTORY.c.id)).all()

    assert directions[-2:] == ["upgrade", "downgrade"]
    assert directions.count("downgrade") == 1


def test_a_stamp_is_not_taken_for_a_run(scratch_engine: sa.Engine) -> None:
    with scratch_engine.connect() as connection:
        command.stamp(migrate.alembic_config(connection), "head")
        found = entries(connection)

    assert [entry.direction for entry in found.values()] == ["stamp"]


@goes_down_to_base
def test_at_an_empty_schema_no_history_is_left(scratch_engine: sa.Engine) -> None:
    with scratch_engine.connect() as connection:
        migrate.upgrade("head", connection)
        migrate.downgrade("base", connection)

        assert entries(connection) == {}
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]


def test_a_failing_revision_is_not_written_down(
    configured: sa.URL, write_revision: WriteRevision
) -> None:
    commands.main(["upgrade"])
    write_revision("bad", f'{ADD_TABLE}\nop.execute("SELECT nonsense")')

    exit_code = commands.main(["upgrade"])

    found = migrate.status()
    assert exit_code == commands.FAILED
    assert [script.revision for script in found.pending] == ["bad"]
    assert "bad" not in found.history


@pytest.mark.usefixtures("configured")
def test_an_edited_revision_is_shown_and_refused_until_it_is_accepted(
    write_revision: WriteRevision, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_revision("tags", ADD_TABLE)
    commands.main(["upgrade"])
    path.write_text(path.read_text() + "# Only looks different.\n")
    capsys.readouterr()

    shown = commands.main(["status"]), capsys.readouterr().out
    refused = commands.main(["upgrade"]), capsys.readouterr().err
    accepted = commands.main(["upgrade", "--accept-edited"]), capsys.readouterr().out
    afterwards = commands.main(["upgrade"]), capsys.readouterr().out

    assert shown[0] == commands.DONE
    assert "Edited after it was applied: migrations/versions/tags.py" in shown[1]
    assert refused[0] == commands.REFUSED
    assert "migrations/versions/tags.py was edited after it was applied" in refused[1]
    assert accepted[0] == commands.DONE
    assert accepted[1].startswith("Accepted migrations/versions/tags.py as it is now.\n")
    assert afterwards == (commands.DONE, "Nothing to do: the database is at tags.\n")


@pytest.mark.usefixtures("configured")
def test_line_ends_are_no_edit(write_revision: WriteRevision) -> None:
    path = write_revision("tags", ADD_TABLE)
    commands.main(["upgrade"])
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert migrate.status().edited == ()


@pytest.mark.usefixtures("configured")
def test_a_database_from_before_the_history_is_upgraded(
    configured: sa.URL, write_revision: WriteRevision, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.main(["upgrade"])
    engine = sa.create_engine(configured, poolclass=sa.NullPool)
    with engine.begin() as connection:
        HISTORY.drop(connection)
    write_revision("tags", ADD_TABLE)

    exit_code = commands.main(["upgrade"])
    commands.main(["status"])

    assert exit_code == commands.DONE
    assert list(migrate.status().history) == ["tags"]
    assert "(before there was a history)" in capsys.readouterr().out


@pytest.mark.usefixtures("configured")
def test_a_user_without_a_name_can_migrate(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr(getpass, "getuser", nobody)

    exit_code = commands.main(["upgrade"])

    names = {entry.applied_by for entry in migrate.status().history.values()}
    assert exit_code == commands.DONE
    assert names == {f"unknown@{os.uname().nodename}"}


def test_printed_sql_writes_the_history_too(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/service")
    config = migrate.alembic_config()
    config.output_buffer = None

    command.upgrade(config, "head", sql=True)

    printed = capsys.readouterr().out
    assert "INSERT INTO migration_history" in printed
    assert "pg_try_advisory_lock" in printed
