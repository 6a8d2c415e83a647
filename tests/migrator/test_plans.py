"""A plan shows what an upgrade would do, and does nothing."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from migrator import Exit, backup, planning
from migrator.rehearsal import Watch

from tests.migrator.project import COMMANDS, HEAD, Project
from tests.running import wait_until

AUTHOR = "INSERT INTO authors (id, email, name) VALUES (1, 'ada@example.com', 'Ada')"
SHOWN = "SELECT name || ' ' || CAST(settings AS TEXT) FROM authors"
SCRATCH = "SELECT datname FROM pg_database WHERE datname LIKE 'migrator%%'"
ASLEEP = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%%'"
TURNS = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'sample plan scratch migration lock'"
)
# Goes on once there is a file beside it, and while SQL is printed.
WAITING = """
import time
from pathlib import Path
while not op.get_context().as_sql and not Path(__file__).with_name("go").exists():
    time.sleep(0.01)
"""
OUTSIDE = """
with op.get_context().autocommit_block():
    op.create_index("i", "books", ["title"], postgresql_concurrently=True)
    op.execute("REINDEX TABLE CONCURRENTLY authors")
    op.execute("ALTER TABLE by_hand ADD a int")
    op.execute("TRUNCATE one, two")
"""
VACUUM = """
with op.get_context().autocommit_block():
    op.execute("VACUUM books")
"""
NEEDS_ROWS = """
if not op.get_context().as_sql:
    op.get_bind().scalars(sa.text("SELECT id FROM authors")).one()
"""
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
    assert not any(word in printed for word in ("alembic_version", "migration_history", "BEGIN"))
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


def test_a_plan_of_sqlite_shows_statements_behind_comments(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    sqlite_project.upgraded().write(
        "comments",
        "op.execute('-- note\\nUPDATE authors SET is_active = 0')\n"
        "op.execute('/* note */ DELETE FROM books')\n"
        "op.execute('PRAGMA user_version = 7')\n"
        "op.execute('-- note\\nSELECT 1')\n"
        "with op.batch_alter_table('books', recreate='always') as books:\n"
        "    books.add_column(sa.Column('a', sa.Text))",
    )

    sqlite_project.run("upgrade", "--plan")

    _, _, sql = capsys.readouterr().out.partition("SQL:\n\n")
    assert sql.startswith(
        "-- note\nUPDATE authors SET is_active = 0;\n\n"
        "/* note */ DELETE FROM books;\n\n"
        "PRAGMA user_version = 7;\n\n"
        "CREATE TABLE _alembic_tmp_books"
    )
    assert sql.count("PRAGMA") == 1


def test_a_revision_that_reads_rows_is_planned(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    postgresql_project.upgraded().write(
        "reads",
        "op.execute('DELETE FROM books')\n"
        "op.get_bind().execute(sa.text('SELECT id FROM authors')).all()\n"
        "op.execute('UPDATE authors SET name = name')",
    )

    code = postgresql_project.run("upgrade", "--plan")

    printed = capsys.readouterr().out
    assert code == Exit.DONE
    assert "DELETE FROM books;\n" in printed
    assert "-- The rest cannot be printed without a database: 'NoneType' object has no" in printed
    assert "(migrations/versions/reads.py, line 7)" in printed
    assert "authors: ROW EXCLUSIVE" in printed
    assert "books: ROW EXCLUSIVE" in printed


HOUSE = """
CREATE TABLE rooms (id bigint PRIMARY KEY, name text, size int);
CREATE TABLE doors (id bigint PRIMARY KEY, room bigint);
CREATE TABLE parts (id bigint, at date) PARTITION BY RANGE (at);
CREATE TABLE parts_of_2020 PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE VIEW small AS SELECT id FROM rooms WHERE size < 5;
CREATE INDEX ix_rooms_size ON rooms (size);
CREATE TRIGGER same BEFORE UPDATE ON rooms
    FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE FUNCTION grow() RETURNS void LANGUAGE sql AS 'UPDATE rooms SET size = size + 1';
CREATE SCHEMA cellar;
CREATE TABLE cellar.wine (id int);
"""
ALL = "ACCESS EXCLUSIVE"
LOCKS = {
    "CREATE TABLE new (id INT); CREATE INDEX ix ON new (id); DROP TABLE new": {},
    "SELECT 1 FROM rooms": {},
    "CREATE TABLE new (id bigint REFERENCES rooms)": {"rooms": "SHARE ROW EXCLUSIVE"},
    "CREATE TABLE new PARTITION OF parts FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')": {
        "parts": ALL
    },
    "CREATE UNIQUE INDEX ix ON rooms (name)": {"rooms": "SHARE"},
    "ALTER TABLE ONLY rooms ADD COLUMN a int": {"rooms": ALL},
    "ALTER TABLE IF EXISTS rooms ALTER size SET STATISTICS 5": {"rooms": "SHARE UPDATE EXCLUSIVE"},
    "ALTER TABLE doors ADD FOREIGN KEY (room) REFERENCES rooms": {
        "doors": "SHARE ROW EXCLUSIVE",
        "rooms": "SHARE ROW EXCLUSIVE",
    },
    "WITH it AS (SELECT 1) UPDATE rooms SET size = 1": {"rooms": "ROW EXCLUSIVE"},
    "DO $$ BEGIN EXECUTE 'DELETE FROM doors'; END $$": {"doors": "ROW EXCLUSIVE"},
    "SELECT grow()": {"rooms": "ROW EXCLUSIVE"},
    "DROP TRIGGER same ON rooms": {"rooms": ALL},
    "CREATE TRIGGER other BEFORE UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION"
    " suppress_redundant_updates_trigger()": {"rooms": "SHARE ROW EXCLUSIVE"},
    "CREATE POLICY p ON rooms USING (true)": {"rooms": ALL},
    "CREATE RULE r AS ON DELETE TO rooms DO NOTHING": {"rooms": ALL},
    "REINDEX TABLE rooms": {
        "rooms": "SHARE",
        "index rooms_pkey": ALL,
        "index ix_rooms_size": ALL,
    },
    "DROP INDEX ix_rooms_size": {"rooms": ALL},
    "ALTER INDEX ix_rooms_size RENAME TO i": {"index ix_rooms_size": "SHARE UPDATE EXCLUSIVE"},
    "CREATE OR REPLACE VIEW small AS SELECT id FROM rooms": {"small": ALL},
    "DROP VIEW small": {"small": ALL},
    "TRUNCATE rooms, cellar.wine": {"rooms": ALL, "cellar.wine": ALL},
    "LOCK TABLE rooms IN EXCLUSIVE MODE": {"rooms": "EXCLUSIVE"},
    "COMMENT ON TABLE rooms IS 'x'": {"rooms": "SHARE UPDATE EXCLUSIVE"},
    "UPDATE rooms SET size = 1; DROP TABLE rooms CASCADE": {"rooms": ALL, "small": ALL},
    "DROP TABLE parts_of_2020": {"parts": ALL, "parts_of_2020": ALL},
    "-- DROP TABLE rooms": {},
}


def test_locks_are_those_that_the_server_takes(postgresql_url: sa.URL) -> None:
    found = {}
    with sa.create_engine(postgresql_url, poolclass=sa.NullPool).connect() as connection:
        connection.exec_driver_sql(HOUSE)
        connection.commit()
        for statement in LOCKS:
            watch = Watch(connection)
            connection.exec_driver_sql(statement)
            watch.note(connection)
            connection.rollback()
            found[statement] = watch.locks()

    assert found == LOCKS


def test_a_plan_shows_locks_and_rows_and_leaves_nothing(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project = postgresql_project.upgraded()
    project.execute(AUTHOR, "ANALYZE authors", "CREATE TABLE by_hand (id int)")
    project.write("trigger", "op.execute('DROP TRIGGER tidy_title ON books')")
    project.write("rename", "op.execute('ALTER TABLE by_hand RENAME TO other')")
    project.write("fill", "op.execute('WITH it AS (SELECT 1) UPDATE authors SET name = name')")
    project.write("grow", ADD_COLUMN.replace("authors", "books"))
    before = project.catalogue()

    project.run("upgrade", "--plan")

    assert (
        "Locks:\n"
        "  authors (about 1 row): ROW EXCLUSIVE, which blocks writes to the same rows\n"
        "  books: ACCESS EXCLUSIVE, which blocks everything, including reads\n"
        "  by_hand: ACCESS EXCLUSIVE, which blocks everything, including reads\n\n"
    ) in capsys.readouterr().out
    assert project.catalogue() == before
    assert project.query(SCRATCH) == []


def test_what_a_killed_plan_leaves_is_dropped_by_the_next_one(postgresql_project: Project) -> None:
    project = postgresql_project.upgraded()
    path = project.write("slow", 'op.execute("SELECT pg_sleep(900)")')
    plan = project.start(COMMANDS, "upgrade", "--plan")
    wait_until(lambda: project.query(ASLEEP) != [], plan)

    plan.kill()
    plan.communicate()
    left = project.query(SCRATCH)
    path.write_text(path.read_text().replace("900", "0"))
    again = project.database.plan()

    assert len(left) == 1
    assert again.unknown == ()
    assert project.query(SCRATCH) == []


def test_plans_of_one_project_take_turns(postgresql_project: Project) -> None:
    project = postgresql_project.upgraded()
    project.write("waiting", WAITING + ADD_COLUMN)
    plans = [project.start(COMMANDS, "upgrade", "--plan") for _ in range(2)]
    wait_until(lambda: len(project.query(TURNS)) == 2 and project.query(SCRATCH) != [], plans[0])

    (project.versions / "go").touch()
    printed = [plan.communicate()[0] for plan in plans]

    assert [plan.returncode for plan in plans] == [Exit.DONE] * 2
    assert printed[0] == printed[1]
    assert "authors: ACCESS EXCLUSIVE" in printed[0]
    assert project.query(SCRATCH) == []


def test_locks_outside_a_transaction_are_seen(postgresql_project: Project) -> None:
    project = postgresql_project.upgraded()
    project.execute(*(f"CREATE TABLE {name} (id int)" for name in ("by_hand", "one", "two")))
    project.write("outside", OUTSIDE)

    planned = project.database.plan()

    assert planned.unknown == ()
    assert planned.locks == {
        "authors": "SHARE UPDATE EXCLUSIVE",
        "books": "SHARE UPDATE EXCLUSIVE",
        "by_hand": "ACCESS EXCLUSIVE",
        "one": "ACCESS EXCLUSIVE",
        "two": "ACCESS EXCLUSIVE",
    }


def test_a_search_path_of_the_database_holds_in_the_copy(postgresql_project: Project) -> None:
    project = postgresql_project
    name = project.database.url.database
    project.execute("CREATE SCHEMA app", f"ALTER DATABASE {name} SET search_path TO app, public")
    project.upgraded().write("nick", ADD_COLUMN)

    planned = project.database.plan()

    assert planned.unknown == ()
    assert planned.locks == {"authors": "ACCESS EXCLUSIVE"}


def test_what_cannot_be_run_is_not_known(
    postgresql_project: Project,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = postgresql_project.upgraded()
    project.write("vacuum", VACUUM)
    path = project.write("rows", NEEDS_ROWS)

    project.run("upgrade", "--plan", "vacuum")
    vacuum = capsys.readouterr().out
    project.run("upgrade", "--plan")
    needs_rows = capsys.readouterr().out
    path.unlink()
    monkeypatch.setattr(backup, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    project.run("upgrade", "--plan")
    no_pg_dump = capsys.readouterr().out

    outside = "  not known: VACUUM books (it runs outside a transaction)\n"
    assert outside in vacuum
    assert outside in needs_rows
    assert "  not known: the rest, which fails on an empty copy: No row was found" in needs_rows
    assert "  not known: all, because the schema cannot be copied: pg_dump" in no_pg_dump
    assert not any("none on existing" in it for it in (vacuum, needs_rows, no_pg_dump))
    assert project.query(SCRATCH) == []


def test_findings_of_squawk_are_shown(squawk: Path, tmp_path: Path) -> None:
    squawk.write_text("plan.sql:1: warning: careful\n")

    assert planning.squawk("SELECT 1", tmp_path) == "plan.sql:1: warning: careful"


def test_without_squawk_a_plan_does_not_mention_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    assert planning.squawk("SELECT 1", tmp_path) is None
