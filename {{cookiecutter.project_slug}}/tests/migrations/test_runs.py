"""Runs take turns, wait only so long, and leave the database at a whole revision."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from placeholder_service.db import migrate
from placeholder_service.db.migrate import commands, runs
from placeholder_service.db.migrate.engine import LOCK_ID, NAME
from placeholder_service.db.migrate.errors import LockTimeoutError
from placeholder_service.db.migrate.history import HISTORY

from tests.fixtures.databases import insert
from tests.migrations.catalogue import catalogue
from tests.migrations.conftest import WriteRevision

pytestmark = pytest.mark.integration

ADD_COLUMN = 'op.add_column("users", sa.Column("nick", sa.Text))'
COMMANDS = (("upgrade", 1), ("downgrade", 2))
CONCURRENTLY = """
if op.get_context().dialect.name == "postgresql":
    with op.get_context().autocommit_block():
        op.drop_index("ix_users_name", if_exists=True, postgresql_concurrently=True)
        op.create_index("ix_users_name", "users", ["name"], postgresql_concurrently=True)
else:
    op.create_index("ix_users_name", "users", ["name"])
"""


@pytest.fixture
def stranger(configured: sa.URL) -> Iterator[sa.Connection]:
    """A connection of somebody else's to the configured database, already migrated."""
    assert commands.main(["upgrade"]) == commands.DONE
    engine = sa.create_engine(configured, poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection


def hold(connection: sa.Connection) -> None:
    """Lock what a migration needs."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")


@pytest.mark.slow
@pytest.mark.parametrize("body", [ADD_COLUMN, CONCURRENTLY], ids=["column", "concurrently"])
def test_runs_at_the_same_time_apply_each_revision_once(
    configured: sa.URL,
    write_revision: WriteRevision,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
) -> None:
    root = write_revision("extra", body).parents[2]
    program = (
        "import sys, pathlib\n"
        "from placeholder_service.db.migrate import commands, config\n"
        "config.PROJECT_ROOT = pathlib.Path(sys.argv[1])\n"
        "sys.exit(commands.main(['upgrade']))"
    )
    monkeypatch.setenv("MIGRATION_WAIT_SECONDS", "60")

    def run(_: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, str(root)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(run, range(3)))

    assert [process.returncode for process in done] == [0, 0, 0], done
    engine = sa.create_engine(configured, poolclass=sa.NullPool)
    with engine.connect() as connection:
        applied = connection.scalars(sa.select(HISTORY.c.revision)).all()
    assert sorted(applied) == sorted(script.revision for script in migrate.status().applied)
    assert sorted("Upgraded from" in process.stdout for process in done) == [False, False, True]


@pytest.mark.usefixtures("project")
def test_a_failing_revision_leaves_what_was_there_before(
    configured: sa.URL, write_revision: WriteRevision, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.main(["upgrade"])
    engine = sa.create_engine(configured, poolclass=sa.NullPool)
    with engine.connect() as connection:
        before = catalogue(connection)
    path = write_revision("bad", f"{ADD_COLUMN}\nop.execute('SELECT nonsense')")

    exit_code = commands.main(["upgrade"])

    message = capsys.readouterr().err
    with engine.connect() as connection:
        after = catalogue(connection)
    assert exit_code == commands.FAILED
    assert after == before
    assert "nonsense" in message.splitlines()[0]
    assert f"({path.relative_to(path.parents[2])}, line 7)" in message.splitlines()[0]
    assert "1 to apply; no revision is half applied" in message


@pytest.mark.slow
@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("scratch_url", ["postgresql_database"], indirect=True)
def test_what_a_revision_does_outside_a_transaction_is_not_denied(
    write_revision: WriteRevision, capsys: pytest.CaptureFixture[str]
) -> None:
    write_revision("bad", f"{CONCURRENTLY}\nraise ValueError")

    exit_code = commands.main(["upgrade"])

    assert exit_code == commands.FAILED
    assert "what bad does outside a transaction may be there already" in capsys.readouterr().err


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError", "Failed: ValueError (migrations/versions/bad.py, line 6)."),
        ("x = (", "Failed: '(' was never closed (migrations/versions/bad.py, line 6)."),
    ],
)
def test_a_revision_that_is_no_good_is_named(
    write_revision: WriteRevision, capsys: pytest.CaptureFixture[str], code: str, message: str
) -> None:
    write_revision("bad", code)

    exit_code = commands.main(["upgrade"])

    assert exit_code == commands.FAILED
    assert capsys.readouterr().err.splitlines()[0] == message


def test_a_lock_that_somebody_holds_ends_the_run(
    stranger: sa.Connection,
    write_revision: WriteRevision,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(runs, "PAUSES", (0.01,))
    write_revision("nick", ADD_COLUMN)
    hold(stranger)

    exit_code = commands.main(["upgrade"])

    stranger.rollback()
    assert exit_code == commands.LOCKED
    message = capsys.readouterr().err
    assert message.startswith("No lock: ")
    is_file = stranger.dialect.name == "sqlite"
    setting = "MIGRATION_WAIT_SECONDS" if is_file else "MIGRATION_LOCK_TIMEOUT_MS"
    assert f"or raise {setting}, then run" in message
    assert migrate.status().pending[0].revision == "nick"


def test_a_lock_that_is_released_lets_the_run_go_on(
    stranger: sa.Connection, write_revision: WriteRevision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_WAIT_SECONDS", "10")
    write_revision("nick", ADD_COLUMN)
    hold(stranger)

    applying = threading.Event()

    def upgrade(*arguments: Any, **options: Any) -> None:
        applying.set()
        runs.upgrade(*arguments, **options)

    monkeypatch.setattr(commands, "upgrade", upgrade)

    with ThreadPoolExecutor(1) as threads:
        run = threads.submit(commands.main, ["upgrade"])
        assert applying.wait(timeout=30)
        time.sleep(0.3)
        stranger.rollback()
        exit_code = run.result()

    assert exit_code == commands.DONE
    assert migrate.status().revision == "nick"


def test_steps_are_not_counted_twice(
    stranger: sa.Connection, write_revision: WriteRevision, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = SimpleNamespace(sleep=lambda _: pytest.fail("it tries again"))
    monkeypatch.setattr(runs, "time", impatient)
    write_revision("nick", ADD_COLUMN)
    hold(stranger)

    with pytest.raises(LockTimeoutError):
        migrate.upgrade("+1")

    stranger.rollback()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "lock"),
    [
        pytest.param("psql", "SELECT pg_advisory_lock(:id)", id="another run"),
        pytest.param(NAME, "SELECT :id", id="the session of a run that was killed"),
    ],
)
def test_a_run_waits_for_the_one_before_it(
    postgresql_database: sa.URL,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    lock: str,
) -> None:
    url = postgresql_database.render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("MIGRATION_WAIT_SECONDS", "0.3")
    other = sa.create_engine(
        postgresql_database,
        poolclass=sa.NullPool,
        connect_args={"application_name": name},
    )
    with other.connect() as connection:
        connection.execute(sa.text(lock), {"id": LOCK_ID})

        exit_code = commands.main(["upgrade"])

    assert exit_code == commands.LOCKED
    assert f"another run did not end in 0.3 s ('{name}', pid" in capsys.readouterr().err
    assert commands.main(["upgrade"]) == commands.DONE


@pytest.mark.parametrize(
    ("scratch_url", "statements", "message"),
    [
        (
            "sqlite_database",
            ["CREATE TABLE _alembic_tmp_users (id INTEGER)"],
            "table _alembic_tmp_users is left over from a run that broke off; next: drop it",
        ),
        (
            "sqlite_database",
            [insert("contexts")],
            "table contexts has 1 rows that refer to missing ones",
        ),
        pytest.param(
            "postgresql_database",
            ["ALTER TABLE users ADD CONSTRAINT ck_new CHECK (name <> 'x') NOT VALID"],
            "constraint ck_new of users is not validated; next: a revision with ALTER TABLE users",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "postgresql_database",
            [
                "CREATE INDEX ix_new ON users (name)",
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_new'::regclass",
            ],
            "index ix_new is not valid; next: DROP INDEX CONCURRENTLY ix_new, then create it again",
            marks=pytest.mark.slow,
        ),
    ],
    indirect=["scratch_url"],
)
def test_what_is_not_sound_fails_the_proof(
    stranger: sa.Connection,
    capsys: pytest.CaptureFixture[str],
    statements: list[str],
    message: str,
) -> None:
    for statement in statements:
        stranger.exec_driver_sql(statement)
    stranger.commit()

    exit_code = commands.main(["upgrade"])

    assert exit_code == commands.FAILED
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("stranger")
def test_a_run_that_left_nothing_behind_fails_the_proof(
    write_revision: WriteRevision,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_revision("nick", ADD_COLUMN)
    monkeypatch.setattr(commands, "upgrade", lambda *_, **__: None)

    exit_code = commands.main(["upgrade"])

    assert exit_code == commands.FAILED
    assert "revision nick is not applied" in capsys.readouterr().err


def test_a_database_of_another_version_is_refused(
    stranger: sa.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger.exec_driver_sql("UPDATE alembic_version SET version_num = 'future'")
    stranger.commit()

    exit_codes = {commands.main([command, "--yes"][:n]) for command, n in COMMANDS}
    commands.main(["status"])

    printed = capsys.readouterr()
    assert exit_codes == {commands.REFUSED}
    assert "the database is at future, which these migrations do not have" in printed.err
    assert "Not one of these migrations: future" in printed.out


@pytest.mark.usefixtures("stranger")
def test_two_heads_are_refused(
    write_revision: WriteRevision, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_revision("left", ADD_COLUMN)
    path.with_name("right.py").write_text(path.read_text().replace("'left'", "'right'"))

    exit_code = commands.main(["upgrade"])

    assert exit_code == commands.REFUSED
    assert "2 heads: left, right. Next: set the down_revision" in capsys.readouterr().err


@pytest.mark.usefixtures("stranger")
def test_a_revision_behind_the_database_is_nothing_to_do(
    write_revision: WriteRevision, capsys: pytest.CaptureFixture[str]
) -> None:
    write_revision("nick", ADD_COLUMN)
    commands.main(["upgrade"])
    first = migrate.status().applied[0].revision

    exit_code = commands.main(["upgrade", first])

    assert exit_code == commands.DONE
    assert capsys.readouterr().out.endswith("Nothing to do: the database is at nick.\n")
