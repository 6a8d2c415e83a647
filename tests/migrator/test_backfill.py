"""Back-fills: each row is changed once, whenever the run is killed."""

import os
import pty
import re
from io import StringIO
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from migrator import Exit

from tests.migrator.project import COMMANDS, Project
from tests.running import LIMIT, wait_until

ROWS = 10
# The lock that the trigger below waits for.
GATE = 7

VALUES = ", ".join(f"({number}, 0)" for number in range(ROWS))
CREATE = f"""
op.create_table(
    "numbers", sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer)
)
op.execute("INSERT INTO numbers VALUES {VALUES}")
"""  # noqa: S608  # constants
# An update of the sixth row waits for the test.
TRIGGER = f"""
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NEW; END $$;
CREATE TRIGGER wait BEFORE UPDATE ON numbers FOR EACH ROW WHEN (NEW.id = 5) EXECUTE FUNCTION wait()
"""
# It changes a row each time it is applied.
COUNT = """
from migrator import batched
numbers = sa.table("numbers", sa.column("id"), sa.column("n"))
with op.get_context().autocommit_block():
    batched(sa.update(numbers).values(n=numbers.c.n + 1), size=3)
"""
WAIT = """
import pathlib, time
pathlib.Path({0!r}).touch()
while pathlib.Path({1!r}).exists(): time.sleep(0.01)
"""


@pytest.fixture
def numbered(project: Project) -> Project:
    """Return a project whose database has a table of numbers."""
    project.write("numbers", CREATE)
    return project.upgraded()


def counts(project: Project) -> list[int]:
    """Return how often each row was changed."""
    return project.query("SELECT n FROM numbers ORDER BY id")


def progress(project: Project) -> list[str]:
    """Return the notes of unfinished back-fills."""
    return project.query("SELECT last FROM migration_progress")


def test_a_run_killed_within_a_batch_is_continued(postgresql_project: Project) -> None:
    project = postgresql_project
    project.write("numbers", CREATE)
    project.upgraded().execute(TRIGGER)
    project.write("count", COUNT)
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'advisory'"
    )

    with project.connect() as gate:
        gate.exec_driver_sql(f"SELECT pg_advisory_lock({GATE})")
        with project.start(COMMANDS, "upgrade") as process:
            wait_until(lambda: sees(gate, waiting), process)
            process.kill()
        gate.exec_driver_sql(f"SELECT pg_advisory_unlock({GATE})")
        between = counts(project), progress(project), project.database.status().revision
    code = project.run("upgrade")

    assert between == ([1, 1, 1, 0, 0, 0, 0, 0, 0, 0], ['["2"]'], "numbers")
    assert code == Exit.DONE
    assert counts(project) == [1] * ROWS
    assert progress(project) == []


def test_a_run_killed_after_the_last_batch_changes_nothing_twice(
    numbered: Project, tmp_path: Path
) -> None:
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    gate.touch()
    numbered.write("count", COUNT + WAIT.format(str(begun), str(gate)))

    with numbered.start(COMMANDS, "upgrade") as process:
        wait_until(begun.exists, process)
        process.kill()
    revision = numbered.database.status().revision
    gate.unlink()
    code = numbered.run("upgrade")

    assert (revision, code) == ("numbers", Exit.DONE)
    assert counts(numbered) == [1] * ROWS


def test_runs_at_once_change_each_row_once(numbered: Project) -> None:
    numbered.write("count", COUNT)

    runs = [numbered.start(COMMANDS, "upgrade", MIGRATION_WAIT_SECONDS=str(LIMIT)) for _ in "abc"]
    printed = [run.communicate(timeout=LIMIT)[0] for run in runs]

    assert [run.returncode for run in runs] == [Exit.DONE] * 3, printed
    assert counts(numbered) == [1] * ROWS


def test_progress_of_a_revision_that_is_undone_is_forgotten(postgresql_project: Project) -> None:
    project = postgresql_project
    project.write("numbers", CREATE, 'op.drop_table("numbers")')
    failing = project.write("count", f"{COUNT}\nraise ValueError")
    failed = project.run("upgrade")
    notes = progress(project)

    project.database.downgrade("-1")
    failing.write_text(failing.read_text().replace("raise ValueError", ""))
    project.upgraded()

    assert failed == Exit.FAILED
    assert len(notes) == 1
    assert counts(project) == [1] * ROWS


# It counts the rows up to one that it must not change.
FAIL_AT_FIVE = "ALTER TABLE numbers ADD CHECK (id <> 5 OR n = 0)"
WITH_TIME = COUNT.replace("n + 1)", "n + 1, at=datetime.now(UTC))")


def test_a_statement_with_another_value_in_each_run_changes_no_row_twice(
    postgresql_project: Project,
) -> None:
    project = postgresql_project
    project.write("numbers", CREATE)
    project.upgraded().execute("ALTER TABLE numbers ADD at timestamptz", FAIL_AT_FIVE)
    columns = WITH_TIME.replace('sa.column("n")', 'sa.column("n"), sa.column("at")')
    project.write("count", f"from datetime import UTC, datetime\n{columns}")

    failed = project.run("upgrade")
    project.execute("ALTER TABLE numbers DROP CONSTRAINT numbers_check")
    # A revision that was put before it leaves its note.
    path = project.versions / "count.py"
    text = path.read_text()
    path.unlink()
    project.write("first", "pass")
    path.write_text(text.replace("'numbers'", "'first'"))
    project.upgraded()

    assert failed == Exit.FAILED
    assert counts(project) == [1] * ROWS
    assert progress(project) == []


def test_a_statement_that_was_edited_after_an_interruption_is_refused(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project = postgresql_project
    project.write("numbers", CREATE)
    project.upgraded().execute(FAIL_AT_FIVE)
    path = project.write("count", COUNT)
    project.run("upgrade")
    project.execute("ALTER TABLE numbers DROP CONSTRAINT numbers_check")
    path.write_text(path.read_text().replace("n + 1", "n * 100"))
    before = counts(project)
    capsys.readouterr()

    code = project.run("upgrade")

    message = capsys.readouterr().err
    assert code == Exit.FAILED
    assert "the back-fill of numbers was interrupted after about 3 rows, and its" in message
    assert "next: restore the statement, or undo what it did" in message
    assert counts(project) == before


def test_a_revision_in_a_transaction_is_refused(
    numbered: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    block = "with op.get_context().autocommit_block():\n    batched"
    numbered.write("count", COUNT.replace(block, "batched"))

    code = numbered.run("upgrade")

    message = capsys.readouterr().err
    assert code == Exit.FAILED
    assert "batched() needs transactions of its own" in message
    assert "with op.get_context().autocommit_block():" in message
    assert counts(numbered) == [0] * ROWS


@pytest.mark.parametrize("statement", ["sa.text('UPDATE numbers SET n = 1')", "sa.select(numbers)"])
def test_another_statement_is_refused(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str], statement: str
) -> None:
    call = re.escape("sa.update(numbers).values(n=numbers.c.n + 1)")
    sqlite_project.write("count", re.sub(call, statement, COUNT))

    code = sqlite_project.run("upgrade")

    assert code == Exit.FAILED
    assert "batched() takes sa.update(TABLE) or sa.delete(TABLE)" in capsys.readouterr().err


KEYS = [
    ("id uuid PRIMARY KEY", "gen_random_uuid()"),
    ("id text PRIMARY KEY", "'Ä:' || i"),
    ('"a b" char(9), "c:d" date, PRIMARY KEY ("c:d", "a b")', "'x' || i %% 5, now()::date + i / 5"),
    ("id timestamptz PRIMARY KEY", "now() + i * interval '1 microsecond'"),
    ("id bytea PRIMARY KEY", "sha256(i::text::bytea)"),
    ("id int, note text, PRIMARY KEY (id) INCLUDE (note)", "i, CASE WHEN i %% 2 = 0 THEN 'x' END"),
]


def test_every_primary_key_is_walked(postgresql_project: Project) -> None:
    names = [f'"Numbers {number}"' for number in range(len(KEYS))]
    for name, (columns, values) in zip(names, KEYS, strict=True):
        series = f"SELECT {values} FROM generate_series(1, {ROWS}) AS i"  # noqa: S608  # constants
        postgresql_project.execute(
            f"CREATE TABLE {name} ({columns}, n int DEFAULT 0)", f"INSERT INTO {name} {series}"
        )
    code = [COUNT.replace('"numbers"', repr(name.strip('"'))) for name in names]
    postgresql_project.write("count", "".join(code))

    postgresql_project.upgraded()

    found = [postgresql_project.query(f"SELECT n FROM {name}") for name in names]  # noqa: S608  # constants
    assert found == [[1] * ROWS] * len(KEYS)


def test_a_table_without_a_primary_key_is_refused(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    postgresql_project.write("numbers", CREATE.replace(", primary_key=True", ""))
    postgresql_project.write("count", COUNT)

    code = postgresql_project.run("upgrade")

    assert code == Exit.FAILED
    assert "numbers has no primary key to walk along" in capsys.readouterr().err


def test_a_locked_row_is_waited_for(postgresql_project: Project) -> None:
    project = postgresql_project.having(lock_timeout_ms=100, lock_tries=100)
    project.write("numbers", CREATE)
    project.upgraded().write("count", COUNT)
    exists = sa.text("SELECT to_regclass('migration_progress')")
    waits = sa.text("SELECT count(*) FROM migration_progress WHERE last = '[\"2\"]'")

    with project.connect() as other, project.connect() as look:
        other.exec_driver_sql("UPDATE numbers SET n = n WHERE id = 5")
        with project.start(COMMANDS, "upgrade") as process:
            wait_until(lambda: sees(look, exists) and sees(look, waits), process)
            other.rollback()
            printed, _ = process.communicate(timeout=LIMIT)

    assert process.returncode == Exit.DONE, printed
    assert counts(project) == [1] * ROWS


def sees(connection: sa.Connection, query: sa.TextClause) -> bool:
    """Return whether a query finds something now."""
    found = bool(connection.scalar(query))
    connection.rollback()
    return found


def test_a_terminal_shows_progress(postgresql_project: Project) -> None:
    project = postgresql_project
    project.write("numbers", CREATE)
    project.upgraded().execute("ANALYZE numbers")
    project.write("count", COUNT)
    leader, follower = pty.openpty()

    with project.start(COMMANDS, "upgrade", stdout=follower) as process:
        os.close(follower)
        process.wait(timeout=LIMIT)
    printed = os.read(leader, 10_000).decode()
    os.close(leader)

    assert "numbers: 3 of about 10 rows" in printed
    assert "numbers: done" in printed


def test_a_plan_shows_the_statement_and_its_lock(postgresql_project: Project) -> None:
    postgresql_project.write("numbers", CREATE)
    postgresql_project.upgraded().write("count", COUNT)

    plan = postgresql_project.database.plan()

    assert plan.locks == {"numbers": "ROW EXCLUSIVE"}
    assert plan.unknown == ()
    assert (
        "-- A run applies this to 3 rows at a time.\n\nUPDATE numbers SET n=(numbers.n + 1);"
        in plan.sql
    )


def test_printed_sql_is_one_statement(numbered: Project) -> None:
    numbered.write("count", COUNT)
    config = numbered.database.config()
    config.output_buffer = printed = StringIO()

    command.upgrade(config, "numbers:count", sql=True)

    assert "UPDATE numbers SET n=(numbers.n + 1);" in printed.getvalue()
    assert [it for it in numbered.database.lint() if "count.py" in it] == []
