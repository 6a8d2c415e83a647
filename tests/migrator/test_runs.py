"""Runs take turns, wait for a limited time, and leave the database at a whole revision."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from migrator import Exit, LockTimeoutError, runs
from migrator.locks import application_name, lock_id

from tests.migrator.project import HEAD, REVISIONS, Project
from tests.running import LIMIT

ADD_COLUMN = 'op.add_column("authors", sa.Column("nick", sa.Text))'
CONCURRENTLY = """
if op.get_context().dialect.name == "postgresql":
    with op.get_context().autocommit_block():
        op.drop_index("ix_authors_name", if_exists=True, postgresql_concurrently=True)
        op.create_index("ix_authors_name", "authors", ["name"], postgresql_concurrently=True)
else:
    op.create_index("ix_authors_name", "authors", ["name"])
"""
AUTHOR = "INSERT INTO authors (id, email, name) VALUES (1, 'ada@example.com', 'Ada')"
BOOK = "INSERT INTO books (id, author_id, title, kind) VALUES (1, 1, 'Notes', 'essay')"


def impatient(project: Project) -> Project:
    """Return the project with runs that soon give up a lock. Earlier runs are waited for."""
    if project.dialect == "sqlite":
        return project.having(wait_seconds=0.3)
    return project.having(lock_timeout_ms=100, lock_tries=2)


def hold_lock(connection: sa.Connection) -> None:
    """Lock what a migration needs."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("LOCK TABLE authors IN ACCESS EXCLUSIVE MODE")


def test_a_failing_revision_leaves_the_database_as_it_was(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = project.upgraded().catalogue()
    project.write("bad", f"{ADD_COLUMN}\nop.execute('SELECT nonsense')")

    code = project.run("upgrade")

    message = capsys.readouterr().err
    assert code == Exit.FAILED
    assert project.catalogue() == before
    assert "nonsense" in message.splitlines()[0]
    assert "(migrations/versions/bad.py, line 7)" in message.splitlines()[0]
    assert f"The database is at {HEAD}, 1 pending; no revision is partially applied." in message


def test_effects_outside_a_transaction_are_reported(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    postgresql_project.write("bad", f"{CONCURRENTLY}\nraise ValueError")

    code = postgresql_project.run("upgrade")

    assert code == Exit.FAILED
    assert "effects of bad outside a transaction may remain" in capsys.readouterr().err


def test_effects_of_a_downgrade_outside_a_transaction_are_reported(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    undo = (
        'with op.get_context().autocommit_block():\n    op.drop_index("ix_authors_name")\n'
        'op.create_check_constraint("short", "authors", "length(name) < 3")'
    )
    postgresql_project.write("index", CONCURRENTLY, undo)
    # On the copy without rows, where a downgrade is tried first, it succeeds.
    postgresql_project.upgraded().execute(AUTHOR)

    code = postgresql_project.run("downgrade", "--yes")

    assert code == Exit.FAILED
    assert "effects of index outside a transaction may remain" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError", "Failed: ValueError (migrations/versions/bad.py, line 6)."),
        ("x = (", "Failed: '(' was never closed (migrations/versions/bad.py, line 6)."),
    ],
)
def test_a_revision_that_cannot_run_is_named(
    project: Project, capsys: pytest.CaptureFixture[str], code: str, message: str
) -> None:
    project.write("bad", code)

    exit_code = project.run("upgrade")

    assert exit_code == Exit.FAILED
    assert capsys.readouterr().err.splitlines()[0] == message


def test_a_lock_of_another_session_ends_the_run(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "FIRST_PAUSE", 0.01)
    project.upgraded().write("nick", ADD_COLUMN)
    with project.connect() as other:
        hold_lock(other)

        code = impatient(project).run("upgrade")

    message = capsys.readouterr().err
    setting = (
        "MIGRATION_WAIT_SECONDS" if project.dialect == "sqlite" else "MIGRATION_LOCK_TIMEOUT_MS"
    )
    assert code == Exit.LOCKED
    assert message.startswith("Could not get a lock in time: another session holds a lock this")
    assert f"or raise {setting}, then run" in message
    assert project.database.status().pending[0].revision == "nick"


def test_the_session_in_the_way_is_named(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    postgresql_project.upgraded().write("nick", ADD_COLUMN)
    url = postgresql_project.database.url
    blocker = sa.create_engine(
        url, poolclass=sa.NullPool, connect_args={"application_name": "a report"}
    )
    with blocker.connect() as other:
        hold_lock(other)
        pid = other.scalar(sa.text("SELECT pg_backend_pid()"))

        code = postgresql_project.having(lock_timeout_ms=3000, lock_tries=1).run("upgrade")

    assert code == Exit.LOCKED
    session = (
        rf"\(pid {pid}, 'a report' from local, idle in transaction,"
        r" query started \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)"
    )
    assert re.search(session, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("tries", "seconds", "most"), [(1, 60, 0), (5, 60, 4), (5, 1e9, 4), (50, 20, 6), (5, 0.1, 0)]
)
def test_retries_end_after_their_number_or_their_time(
    monkeypatch: pytest.MonkeyPatch, tries: int, seconds: float, most: int
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(runs, "time", SimpleNamespace(monotonic=lambda: clock.now))
    pauses = []

    for pause in runs.pauses(tries, seconds):
        pauses.append(pause)
        clock.now += pause

    assert len(pauses) <= most
    assert (tries, seconds) not in {(5, 60), (5, 1e9)} or len(pauses) == most
    assert clock.now <= seconds
    assert all(0.25 * 2**n <= pause <= 0.75 * 2**n for n, pause in enumerate(pauses))


@pytest.mark.parametrize("command", ["upgrade", "status"])
def test_a_file_that_cannot_even_be_read_is_waited_for_once(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    sqlite_project.upgraded()
    with sqlite_project.connect() as other:
        other.exec_driver_sql("BEGIN EXCLUSIVE")

        code = sqlite_project.having(wait_seconds=0.3).run(command)

    assert code == Exit.LOCKED
    assert capsys.readouterr().err == (
        "Could not get a lock in time: the database stayed locked for 0.3 s.\n"
        "The database is locked, so its revision cannot be read; no revision was applied"
        " partially. Next: wait for the other session, or raise MIGRATION_WAIT_SECONDS, then run"
        " the same command again.\n"
    )


def test_a_released_lock_lets_the_run_continue(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project.upgraded().having(lock_timeout_ms=100, lock_tries=20, lock_wait_seconds=LIMIT)
    project.write("nick", ADD_COLUMN)
    waiting = threading.Event()
    run = runs.run

    def announce(*arguments: Any, **options: Any) -> None:
        waiting.set()
        run(*arguments, **options)

    monkeypatch.setattr(runs, "run", announce)
    with project.connect() as other, ThreadPoolExecutor(1) as threads:
        hold_lock(other)
        running = threads.submit(project.run, "upgrade")
        assert waiting.wait(timeout=LIMIT)
        # Most often, it then waits for the lock already. It has to succeed either way.
        time.sleep(0.3)
        other.rollback()
        code = running.result()

    assert code == Exit.DONE
    assert project.database.status().revision == "nick"


def test_relative_steps_are_not_retried(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.upgraded().write("nick", ADD_COLUMN)
    no_pause = SimpleNamespace(sleep=lambda _: pytest.fail("it tries again"))
    monkeypatch.setattr(runs, "time", no_pause)
    with project.connect() as other:
        hold_lock(other)

        with pytest.raises(LockTimeoutError):
            impatient(project).database.upgrade("+1")


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        pytest.param("psql", "SELECT pg_advisory_lock(:id)", id="another run"),
        pytest.param(application_name("sample"), "SELECT :id", id="the session of a killed run"),
    ],
)
def test_a_run_waits_for_the_one_before_it(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str], name: str, lock: str
) -> None:
    url = postgresql_project.database.url
    other = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"application_name": name})
    with other.connect() as connection:
        connection.execute(sa.text(lock), {"id": lock_id("sample")})

        code = postgresql_project.having(wait_seconds=0.3).run("upgrade")

    assert code == Exit.LOCKED
    holder = rf"another run did not end in 0\.3 s \(pid \d+, '{name}' from local, idle"
    assert re.search(holder, capsys.readouterr().err)
    assert postgresql_project.run("upgrade") == Exit.DONE


# PostgreSQL cuts the name of a session to 63 bytes, and replaces what is not ASCII.
@pytest.mark.parametrize("name", ["x" * 45, "x" * 53, "x" * 200, "Überbau", "a\tb"])
def test_runs_of_a_project_with_any_name_take_turns(postgresql_project: Project, name: str) -> None:
    project = postgresql_project.having(name=name, wait_seconds=0.3)

    with project.database.engine().connect() as killed:
        held_up = project.run("upgrade")
        assert killed.scalar(sa.text("SHOW application_name")) == application_name(name)
    upgraded = postgresql_project.having(name=name).run("upgrade")
    squashed = postgresql_project.having(name=name).run("new", "--squash", "0003")

    assert (held_up, upgraded, squashed) == (Exit.LOCKED, Exit.DONE, Exit.DONE)


@pytest.mark.parametrize(
    ("empty_database", "statements", "message"),
    [
        (
            "sqlite_url",
            ["CREATE TABLE _alembic_tmp_books (id INTEGER)"],
            "table _alembic_tmp_books is left over from an interrupted run; next: drop it",
        ),
        ("sqlite_url", [BOOK], "table books has 1 rows that refer to missing ones"),
        (
            "postgresql_url",
            ["ALTER TABLE authors ADD CONSTRAINT ck_new CHECK (name <> 'x') NOT VALID"],
            (
                "constraint ck_new of authors is not validated;"
                " next: a revision with ALTER TABLE authors"
            ),
        ),
        (
            "postgresql_url",
            [
                "CREATE INDEX ix_new ON authors (name)",
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_new'::regclass",
            ],
            "index ix_new is not valid; next: DROP INDEX CONCURRENTLY ix_new, then create it again",
        ),
    ],
    indirect=["empty_database"],
)
def test_an_unsound_database_fails_the_upgrade(
    project: Project,
    capsys: pytest.CaptureFixture[str],
    statements: list[str],
    message: str,
) -> None:
    project.upgraded().execute(*statements)

    code = project.run("upgrade")

    assert code == Exit.FAILED
    assert message in capsys.readouterr().err


def test_a_run_without_an_effect_fails(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.upgraded().write("nick", ADD_COLUMN)
    monkeypatch.setattr(runs, "run", lambda *_, **__: None)

    code = project.run("upgrade")

    assert code == Exit.FAILED
    assert "revision nick is not applied" in capsys.readouterr().err


def test_a_database_of_another_version_of_the_code_is_refused(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.upgraded().execute("UPDATE alembic_version SET version_num = 'future'")

    codes = {project.run("upgrade"), project.run("downgrade", "--yes")}
    shown = project.run("status")

    printed = capsys.readouterr()
    assert (codes, shown) == ({Exit.REFUSED}, Exit.DONE)
    assert "the database is at future, which these migrations do not have" in printed.err
    assert "`git log --all -- '*future*'` names it" in printed.err
    assert "Not in these migrations: future" in printed.out


def test_there_is_nothing_to_do_for_a_revision_behind_the_database(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    code = project.upgraded().run("upgrade", REVISIONS[0])

    assert code == Exit.DONE
    assert f"Nothing to do: the database is at {HEAD}.\n" in capsys.readouterr().out


def test_a_run_that_orphans_rows_is_rolled_back(sqlite_project: Project) -> None:
    sqlite_project.upgraded().execute(AUTHOR, BOOK)
    sqlite_project.write("bad", "op.execute('DELETE FROM authors')")

    code = sqlite_project.run("upgrade", "bad")

    assert code == Exit.FAILED
    assert sqlite_project.query("SELECT name FROM authors") == ["Ada"]
    assert sqlite_project.query("SELECT version_num FROM alembic_version") == [HEAD]


def test_another_version_table_is_refused_before_anything_runs(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project.root / "migrations/env.py"
    option = "**environment.online(connection), version_table='app_version')"
    path.write_text(path.read_text().replace("**environment.online(connection))", option))

    code = project.run("upgrade")

    message = capsys.readouterr().err
    assert code == Exit.REFUSED
    assert "env.py sets the version table to app_version, and migrator reads alembic_ver" in message
    assert "Next: remove version_table from context.configure" in message
    assert project.tables() == set()
