"""A downgrade says what it deletes, keeps a backup that can be read, and stops where it must."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from placeholder_service.db import migrate
from placeholder_service.db.migrate import backup, commands
from placeholder_service.db.migrate.backup import (
    BackupError,
    back_up,
    find_pg_dump,
)
from placeholder_service.db.migrate.errors import RefusedError

from tests.fixtures.databases import insert
from tests.migrations.conftest import WriteRevision

pytestmark = pytest.mark.integration

UP = """
op.add_column("users", sa.Column("nick", sa.Text))
op.create_table("tags", sa.Column("name", sa.Text, primary_key=True))
"""
DOWN = """
op.drop_table("tags")
with op.batch_alter_table("users") as batch:
    batch.drop_column("nick")
"""

# It leaves what it wrote last in the write-ahead log.
SERVICE_THAT_IS_KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("UPDATE users SET name = 'Other'")
os._exit(0)
"""


@pytest.fixture
def engine(configured: sa.URL, write_revision: WriteRevision) -> sa.Engine:
    """The engine of a database at a revision with rows that a downgrade deletes."""
    write_revision("tags", UP, DOWN)
    commands.main(["upgrade"])
    engine = sa.create_engine(configured, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text(insert("users")))
        connection.exec_driver_sql("UPDATE users SET nick = 'me'")
        connection.exec_driver_sql("INSERT INTO tags VALUES ('a'), ('b')")
    return engine


@pytest.mark.usefixtures("engine")
def test_it_tells_what_is_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code = commands.main(["downgrade", "--yes"])

    printed = capsys.readouterr().out
    assert exit_code == commands.DONE
    assert "and deletes:\n  table tags: 2 rows\n  column users.nick: 1 value\n" in printed


@pytest.mark.usefixtures("configured")
def test_it_tells_if_nothing_is_deleted(
    write_revision: WriteRevision, capsys: pytest.CaptureFixture[str]
) -> None:
    write_revision("index", 'op.create_index("ix_n", "users", ["name"])', 'op.drop_index("ix_n")')
    commands.main(["upgrade"])

    commands.main(["downgrade", "--yes"])

    assert "  no table and no column\n" in capsys.readouterr().out


def test_the_backup_brings_everything_back(engine: sa.Engine, tmp_path: Path) -> None:
    exit_code = commands.main(["downgrade", "--yes"])

    [path] = (tmp_path / "backups").iterdir()
    if engine.dialect.name == "sqlite":
        database = str(engine.url.database)
        subprocess.run([sys.executable, "-c", SERVICE_THAT_IS_KILLED, database], check=True)
        for end in ("", "-wal", "-shm"):
            Path(f"{database}{end}").unlink()
        shutil.copy(path, database)
    else:
        with engine.connect() as connection:
            version = connection.dialect.server_version_info or (0,)
        program = find_pg_dump(int(version[0])).with_name("pg_restore")
        target = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        options = ["--clean", "--if-exists", "--single-transaction", "--dbname", target]
        subprocess.run([program, *options, path], check=True)
    with engine.connect() as connection:
        nicks = connection.exec_driver_sql("SELECT nick FROM users").scalars().all()
        tags = connection.exec_driver_sql("SELECT name FROM tags ORDER BY 1").scalars().all()
    assert exit_code == commands.DONE
    assert (nicks, tags) == (["me"], ["a", "b"])


def test_without_a_backup_nothing_is_rolled_back(
    engine: sa.Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "backups").touch()

    exit_code = commands.main(["downgrade", "--yes"])

    assert exit_code == commands.FAILED
    assert "backups" in capsys.readouterr().err
    assert migrate.status().revision == "tags"


# On PostgreSQL, one of the two steps is taken before.
@pytest.mark.usefixtures("configured")
def test_where_it_breaks_off_it_tells_how_to_go_on(
    write_revision: WriteRevision, capsys: pytest.CaptureFixture[str]
) -> None:
    [head] = migrate.status().heads
    write_revision("stuck", "pass", 'op.execute("nonsense")')
    write_revision("last", "pass")
    commands.main(["upgrade"])

    exit_code = commands.main(["downgrade", "--yes", "2"])

    assert exit_code == commands.FAILED
    assert f"then run scripts/migrate-down.sh --yes {head}." in capsys.readouterr().err


@pytest.mark.usefixtures("configured")
def test_an_irreversible_revision_stays(
    write_revision: WriteRevision, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_revision("once", "pass")
    path.write_text(path.read_text() + "irreversible = 'the old values are gone'\n")
    commands.main(["upgrade"])

    exit_code = commands.main(["downgrade", "--yes", "base"])

    assert exit_code == commands.REFUSED
    assert "once cannot be taken back: the old values are gone" in capsys.readouterr().err
    assert migrate.status().revision == "once"


@pytest.mark.usefixtures("engine")
def test_where_the_database_is_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code = commands.main(["downgrade", "--yes", "tags"])

    assert exit_code == commands.DONE
    assert capsys.readouterr().out.endswith("Nothing to do: the database is at tags.\n")


@pytest.mark.slow
def test_without_pg_dump_it_says_what_to_install(
    postgresql_database: sa.URL,
    write_revision: WriteRevision,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = postgresql_database.render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)
    write_revision("last", "pass")
    commands.main(["upgrade"])
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(backup, "find_spec", lambda _: None)

    exit_code = commands.main(["downgrade", "--yes"])

    assert exit_code == commands.REFUSED
    assert "Next: install the PostgreSQL" in capsys.readouterr().err
    assert migrate.status().pending == ()


@pytest.mark.slow
def test_a_pg_dump_that_is_older_than_the_server_is_not_used() -> None:
    with pytest.raises(RefusedError, match="pg_dump 99 or newer"):
        find_pg_dump(99)


@pytest.mark.slow
def test_a_dump_that_fails_is_no_backup(
    postgresql_database: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] && echo 99 || { echo "no" >&2; exit 1; }\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    with pytest.raises(BackupError, match=r"^no$"):
        back_up(postgresql_database, "0001", tmp_path)


@pytest.mark.slow
def test_a_dump_without_the_migrations_is_no_backup(
    postgresql_database: sa.URL, tmp_path: Path
) -> None:
    with pytest.raises(BackupError, match="is not complete"):
        back_up(postgresql_database, "base", tmp_path)


def test_a_copy_that_is_not_what_was_copied_is_no_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scratch.db"
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{path}")
    commands.main(["upgrade"])
    damaged = sqlite3.connect(path, isolation_level=None)
    damaged.execute(insert("users"))
    damaged.execute("CREATE INDEX ix ON users (name)")
    damaged.execute("PRAGMA writable_schema = ON")
    damaged.execute("UPDATE sqlite_master SET sql = replace(sql, 'name', 'id') WHERE name = 'ix'")
    damaged.close()

    with pytest.raises(BackupError, match="is damaged"):
        back_up(sa.make_url(f"sqlite:///{path}"), "0001", tmp_path / "backups")


@pytest.mark.slow
def test_a_password_is_not_shown_to_other_users(
    postgresql_database: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if postgresql_database.password:
        pytest.skip("this server asks for its own password")
    secret = uuid4().hex
    url = postgresql_database.set(password=f"50% @ {secret}")
    migrate_to_head(url, monkeypatch)
    seen: list[list[str]] = []
    run = backup.run

    def spy(command: list[str | Path], variables: dict[str, str]) -> str:
        seen.append([*map(str, command), *variables])
        return run(command, variables)

    monkeypatch.setattr(backup, "run", spy)

    path = back_up(url, "0001", tmp_path)

    assert path.stat().st_size > 0
    assert not any(secret in argument for command in seen for argument in command)
    assert any("PGPASSWORD" in command for command in seen)


def migrate_to_head(url: sa.URL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apply all migrations to a database."""
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    assert commands.main(["upgrade"]) == commands.DONE
