"""The scripts people run: from any folder, with clear messages and honest exit codes."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command

from placeholder_service.db import migrate
from placeholder_service.db.migrate import commands
from placeholder_service.settings import PROJECT_ROOT

from tests.fixtures.databases import insert
from tests.migrations.reversible import goes_down_to_base

pytestmark = pytest.mark.integration


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SQLite file that is not there yet, and that the settings point to."""
    path = tmp_path / "new folder/50% done.db"
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{path}")
    monkeypatch.setenv("BACKUP_FOLDER", str(tmp_path / "backups"))
    # if analytics == clickhouse
    monkeypatch.setenv("CLICKHOUSE_URL", f"chdb:///{tmp_path / 'clickhouse'}")
    # end if
    return path


def tables(path: Path) -> set[str]:
    """Return the names of the tables in a SQLite file."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    connection.close()
    return {name for (name,) in rows if not name.startswith("sqlite_")}


@goes_down_to_base
@pytest.mark.slow
def test_the_scripts_work_from_any_folder(database: Path, tmp_path: Path) -> None:
    def run(*command: str) -> str:
        script = PROJECT_ROOT / "scripts" / command[0]
        return subprocess.run(
            [str(script), *command[1:]], cwd=tmp_path, check=True, text=True, capture_output=True
        ).stdout

    upgraded = run("migrate.sh")
    again = run("migrate.sh")
    downgraded = run("migrate-down.sh", "--yes", "base")

    assert "Upgraded from an empty schema" in upgraded
    assert "Nothing to do" in again
    assert "to an empty schema" in downgraded
    assert tables(database) == set()


@goes_down_to_base
@pytest.mark.slow
def test_alembic_itself_works_too(database: Path) -> None:
    alembic = [sys.executable, "-m", "alembic"]

    for arguments in (["upgrade", "head"], ["check"], ["downgrade", "base"]):
        subprocess.run([*alembic, *arguments], cwd=PROJECT_ROOT, check=True, env=os.environ)

    assert tables(database) == {"alembic_version"}


def test_an_upgrade_says_what_it_did(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exit_code = commands.main(["upgrade"])

    assert exit_code == commands.DONE
    assert "Upgraded from an empty schema to" in capsys.readouterr().out
    assert "thoughts" in tables(database)


@pytest.mark.parametrize("steps", ["1", "-1", "base"])
def test_a_downgrade_to_base_leaves_nothing(database: Path, steps: str) -> None:
    commands.main(["upgrade", "0001"])

    exit_code = commands.main(["downgrade", "--yes", steps])

    assert exit_code == commands.DONE
    assert tables(database) == set()


@pytest.mark.usefixtures("database", "project")
def test_a_downgrade_goes_back_one_revision(capsys: pytest.CaptureFixture[str]) -> None:
    commands.main(["upgrade"])
    before = migrate.status().revision
    migrate.new_revision("add something")
    commands.main(["upgrade"])

    exit_code = commands.main(["downgrade", "--yes"])

    assert exit_code == commands.DONE
    assert migrate.status().revision == before
    assert capsys.readouterr().out.endswith(f"to {before}.\n")


@goes_down_to_base
def test_what_another_run_began_meanwhile_stays(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.main(["upgrade"])
    monkeypatch.setattr(commands, "current_revisions", lambda _: ("0001",))

    commands.main(["downgrade", "--yes", "base"])

    assert tables(database) == {"alembic_version"}


def test_a_file_that_is_gone_after_the_run_fails_the_proof(
    database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "upgrade", lambda *_, **__: None)

    exit_code = commands.main(["upgrade"])

    assert exit_code == commands.FAILED
    assert "Failed: the database is at an empty schema" in capsys.readouterr().err
    assert not database.exists()


def test_there_is_nothing_to_roll_back_without_a_database(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code = commands.main(["downgrade", "--yes"])

    assert exit_code == commands.DONE
    assert "Nothing to do" in capsys.readouterr().out
    assert not database.exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["upgrade", "nonsense"], "No such revision or branch 'nonsense'"),
        (["downgrade", "9"], "Relative revision -9 didn't produce 9 migrations"),
    ],
)
def test_an_unknown_revision_is_a_wrong_call(
    database: Path, capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    commands.main(["upgrade"])

    exit_code = commands.main(command)

    assert exit_code == commands.USAGE
    assert message in capsys.readouterr().err


def test_a_database_that_refuses_fails_with_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:password@127.0.0.1:1/service")

    exit_code = commands.main(["upgrade"])

    message = capsys.readouterr().err
    assert exit_code == commands.FAILED
    assert "127.0.0.1" in message
    assert "password" not in message


def test_unusable_settings_fail_with_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://user:password@host/service")

    exit_code = commands.main(["upgrade"])

    message = capsys.readouterr().err
    assert exit_code == commands.FAILED
    assert "unsupported database 'mysql'" in message
    assert "password" not in message


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--yes"],
        ["--yes", "base"],
        ["--yes", "--allow-production"],
    ],
)
def test_production_is_not_rolled_back_by_accident(
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    commands.main(["upgrade"])
    monkeypatch.setenv("ENVIRONMENT", "production")

    exit_code = commands.main(["downgrade", *arguments])

    assert exit_code == commands.REFUSED
    assert "--allow-production REVISION" in capsys.readouterr().err
    assert "thoughts" in tables(database)


@goes_down_to_base
def test_without_a_terminal_a_downgrade_needs_a_yes(
    database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.main(["upgrade"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)

    exit_code = commands.main(["downgrade", "base"])

    assert exit_code == commands.REFUSED
    assert "Next: use --yes" in capsys.readouterr().err
    assert "thoughts" in tables(database)


@goes_down_to_base
@pytest.mark.parametrize(("answer", "left"), [("n", True), ("", True), ("y", False)])
def test_at_a_terminal_a_downgrade_asks_first(
    database: Path, monkeypatch: pytest.MonkeyPatch, answer: str, left: bool
) -> None:
    commands.main(["upgrade"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)

    commands.main(["downgrade", "base"])

    assert ("thoughts" in tables(database)) is left


def test_a_revision_that_orphans_rows_is_rolled_back(database: Path, project: Path) -> None:
    commands.main(["upgrade"])
    head = migrate.status().revision
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute(insert("users"))
    connection.execute(insert("contexts"))
    connection.close()
    (project / "migrations/versions/bad.py").write_text(
        "from alembic import op\n"
        f"revision, down_revision = 'bad', '{head}'\n"
        "def upgrade() -> None:\n"
        "    op.execute('DELETE FROM users')\n"
        "def downgrade() -> None: ...\n"
    )

    exit_code = commands.main(["upgrade", "bad"])

    connection = sqlite3.connect(database)
    users = connection.execute("SELECT count(*) FROM users").fetchone()
    revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    connection.close()
    assert exit_code == commands.FAILED
    assert (users, revision) == ((1,), (head,))


@pytest.mark.usefixtures("project")
def test_a_revision_without_a_message_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code = commands.main(["new", " "])

    assert exit_code == commands.USAGE
    assert "Say what the migration does" in capsys.readouterr().err


@pytest.mark.usefixtures("project")
def test_any_message_makes_a_revision_that_is_python() -> None:
    path = migrate.new_revision('say """hi""" \\ 100%')

    compile(path.read_text(), path, "exec")


def test_a_folder_that_cannot_be_made_fails_with_a_message(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/file/x.db")

    exit_code = commands.main(["upgrade"])

    assert exit_code == commands.FAILED
    assert "file" in capsys.readouterr().err


def test_an_old_sqlite_is_refused(
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))

    exit_code = commands.main(["upgrade"])

    assert exit_code == commands.FAILED
    assert "SQLite 3.38 is needed" in capsys.readouterr().err
    assert not database.exists()


def test_a_url_can_be_passed_to_alembic(tmp_path: Path) -> None:
    config = migrate.alembic_config()
    config.attributes["url"] = f"sqlite:///{tmp_path}/passed.db"

    command.upgrade(config, "head")

    assert "thoughts" in tables(tmp_path / "passed.db")


def test_a_database_in_memory_is_not_migrated(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code = commands.main(["upgrade"])

    assert exit_code == commands.REFUSED
    assert "names no database that would be left" in capsys.readouterr().err


def test_a_new_revision_is_announced(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exit_code = commands.main(["new", "add something"])

    [path] = (project / "migrations/versions").glob("*_add_something.py")
    assert exit_code == commands.DONE
    assert str(path.relative_to(project)) in capsys.readouterr().out
