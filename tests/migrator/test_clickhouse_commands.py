"""What the commands do with ClickHouse beside the first database, and what they say."""

import gzip
import re
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from migrator import Exit

from tests.migrator import clickhouse_project
from tests.migrator.clickhouse_project import (
    ADD,
    EVENT,
    HEAD,
    REMOVE,
    Embedded,
    Fault,
    Project,
    start,
)


def test_an_upgrade_covers_both_databases_and_a_second_one_has_nothing_to_do(
    embedded: Embedded,
) -> None:
    first = embedded.run("upgrade")
    second = embedded.run("upgrade")

    assert first.code == second.code == Exit.DONE
    assert "Upgraded the database from an empty schema" in first.out
    assert f"Upgraded ClickHouse from an empty schema to {HEAD}" in first.out
    assert second.out.splitlines()[1:] == [f"Nothing to do: ClickHouse is at {HEAD}."]


def test_a_failure_of_the_first_database_stops_before_the_second(embedded: Embedded) -> None:
    path = embedded.project.root / "migrations" / "versions" / "bad.py"
    path.write_text("x = (")

    done = embedded.run("upgrade")

    assert done.code == Exit.FAILED
    assert not embedded.project.folder.exists()


def test_a_revision_without_an_option_is_one_of_the_first_database(embedded: Embedded) -> None:
    done = embedded.run("upgrade", "0001")

    assert done.code == Exit.DONE
    assert not embedded.project.folder.exists()


def test_a_plan_shows_the_sql_of_both_and_touches_nothing(embedded: Embedded) -> None:
    done = embedded.run("upgrade", "--plan")

    assert done.code == Exit.DONE
    assert "CREATE TABLE authors" in done.out
    assert "CREATE TABLE IF NOT EXISTS events" in done.out
    assert "not known: all, because there is no database yet" in done.out
    assert not embedded.project.folder.exists()


def test_a_cluster_gets_replicated_tables_or_nothing(embedded: Embedded) -> None:
    embedded.project.folder.mkdir()
    cluster = Embedded(embedded.project.having(REPLICATED="1"), embedded.process)

    planned = cluster.run("upgrade", "--events", "--plan")
    refused = cluster.run("upgrade", "--events")
    embedded.process.submit(clickhouse_project.leave, "REPLICATED").result()

    assert re.findall(r"ENGINE = (\w+)", planned.out.partition("about each")[0]) == [
        "ReplicatedMergeTree",
        "ReplicatedSummingMergeTree",
    ]
    assert refused.code == Exit.REFUSED, refused
    assert "not Replicated, so its tables would not be on all replicas. Next:" in refused.err
    assert embedded.catalogue() == {}


def test_a_plan_of_nothing_says_so(migrated: Embedded) -> None:
    done = migrated.run("upgrade", "--events", "--plan")

    assert (done.code, done.out) == (Exit.DONE, f"Nothing to do: ClickHouse is at {HEAD}.\n")


# Types as people write them.
COLUMNS = (
    "a DOUBLE PRECISION, b varchar(3), c Enum('x' = 1), d Tuple(e Nested(f int)), k Point, j JSON,"
    " g LowCardinality(Nullable(String)), h AggregateFunction(sum, UInt64), i Variant(Bool, Date)"
)
# Each statement of a revision, and what the plan says of it. None of these changes anything.
VERDICTS = [
    ("INSERT INTO events (name) SELECT name FROM daily", "accepted"),
    ("INSERT INTO events SELECT 1", "refused (Number of columns doesn't match"),
    ("INSERT INTO events (name) SELECT nofun(1)", "refused (Function with name `nofun` does not"),
    ("INSERT INTO events (name) VALUES ('a')", "accepted"),
    ("INSERT INTO nope SELECT 1", "refused (Table default.nope does not exist"),
    ("(SELECT name FROM events)", "accepted"),
    ("SELECT 1 INTO OUTFILE 'written'", "not known (only its syntax, which is right)"),
    ("SELECT 1 PARALLEL WITH SELECT 2", "not known (only its syntax, which is right)"),
    ("SELECT nope FROM events FORMAT CSV", "refused (Unknown expression identifier `nope`"),
    ("SYSTEM FLUSH LOGS", "not known (only its syntax, which is right)"),
    ("ALTER TABLE events ADD COLUM n Int8", "refused (Syntax error: failed at (COLUM)"),
    ("ALTER TABLE missing DELETE WHERE 1", "refused (no table missing)"),
    ("DELETE FROM `missing` WHERE flag", "refused (no table missing)"),
    ("ALTER TABLE nowhere.events DELETE WHERE 1", "refused (no table events)"),
    ("-- why\nTRUNCATE TABLE missing", "refused (no table missing)"),
    ("TRUNCATE TABLE IF EXISTS missing", "not known (only its syntax, which is right)"),
    ("ALTER TABLE events ADD COLUMN n Array(Nope)", "refused (unknown type Nope)"),
    ("CREATE TABLE odd (n Int8) ENGINE = Nope ORDER BY n", "refused (unknown table engine Nope)"),
    (f"CREATE TABLE many ({COLUMNS}) ENGINE = ReplacingMergeTree ORDER BY a",
     "not known (only its syntax, which is right)"),
    ("INSERT INTO many (a) VALUES (1)", "not known (it depends on an earlier statement: many)"),
    ("ALTER TABLE many DELETE WHERE 1", "not known (it depends on an earlier statement: many)"),
    ("SELECT 1; DROP TABLE events", "not known (it has a semicolon)"),
    ("SELECT 'a;\n\nb'", "not known (it has a semicolon)"),
    ("INSERT INTO events (name) SELECT 'a'", "not known (it depends on an earlier statement:"),
]  # fmt: skip


def test_a_plan_asks_the_server_about_each_statement(migrated: Embedded) -> None:
    statements = [statement for statement, _ in VERDICTS]
    migrated.project.write("asked", f"for it in {statements!r}:\n    op.execute(it)")
    before = migrated.catalogue()

    done = migrated.run("upgrade", "--events", "--plan")

    assert done.code == Exit.DONE, done.err
    answers = done.out.partition("ClickHouse about each statement:\n")[2].splitlines()
    for (statement, verdict), answer in zip(VERDICTS, answers, strict=False):
        assert answer.startswith(f"  {verdict}"), statement
    assert answers[len(VERDICTS)] == "", answers
    assert "alembic_version" not in done.out
    assert not Path("written").exists()
    assert migrated.catalogue() == before
    assert migrated.query("SELECT count() FROM events") == [(0,)]


def test_the_status_covers_both_and_touches_nothing(embedded: Embedded) -> None:
    done = embedded.run("status")

    assert done.code == Exit.DONE
    assert "Database: sqlite" in done.out
    assert f"  pending  {HEAD}" in done.out[done.out.index("ClickHouse: chdb") :]
    assert not embedded.project.folder.exists()


def test_a_downgrade_lists_what_it_deletes_and_keeps_a_copy(embedded: Embedded) -> None:
    embedded.project.write("extra", ADD, REMOVE)
    embedded.run("upgrade", "--events")
    embedded.query(EVENT)

    done = embedded.run("downgrade", "--events", "--yes")

    assert done.code == Exit.DONE
    assert "  table extra: 0 rows\n  column events.source: 3 values\n" in done.out
    assert f"Downgraded ClickHouse from extra to {HEAD}." in done.out
    [copy] = (embedded.project.root / "backups").glob("clickhouse-extra-*/events.tsv.gz")
    names, types, *rows = gzip.decompress(copy.read_bytes()).decode().splitlines()
    assert names.split("\t")[-1] == "source"
    assert types.split("\t")[0] == "UUID"
    assert len(rows) == 3


MAKE_MANY = """
for name in ("one", "two", "`a-b`", "kept"):
    op.execute(
        f"CREATE TABLE IF NOT EXISTS {name} (n Int64, m Int64) ENGINE = MergeTree ORDER BY n"
    )
    op.execute(f"INSERT INTO {name} VALUES (1, 2), (3, 4)")
"""
# A statement, and the tables and columns that it deletes.
DELETING = {
    "DROP TABLE IF EXISTS one, two": "one two",
    "DROP TABLE IF EXISTS default.one": "one",
    'DROP TABLE IF EXISTS "default" . `a-b`': "a-b",
    "DROP /* all of it */ TABLE IF EXISTS one -- gone": "one",
    "TRUNCATE TABLE IF EXISTS one": "one",
    "TRUNCATE one": "one",
    "CREATE OR REPLACE TABLE one (n Int64) ENGINE = MergeTree ORDER BY n": "one",
    "ALTER TABLE default.one DROP COLUMN IF EXISTS `m`": "one.m",
    "ALTER TABLE one UPDATE m = 1 WHERE toString(n) = 'DROP COLUMN n'": "",
    "INSERT INTO kept VALUES (5, 6)": "",
    "DROP TABLE IF EXISTS elsewhere.one": "",
    "DROP VIEW IF EXISTS missing": "",
}


@pytest.mark.parametrize(("statement", "names"), DELETING.items())
def test_whatever_a_downgrade_deletes_is_listed_and_copied(
    migrated: Embedded, statement: str, names: str
) -> None:
    migrated.project.write("many", MAKE_MANY, f"op.execute({statement!r})")
    migrated.run("upgrade", "--events")

    done = migrated.run("downgrade", "--events", "--yes")

    listed = re.findall(r"^  (?:table|column) (\S+): 2", done.out, re.MULTILINE)
    copies = (migrated.project.root / "backups").glob("clickhouse-*/*.tsv.gz")
    assert done.code == Exit.DONE, done
    assert listed == names.split()
    assert {it.name for it in copies} == {f"{it.removesuffix('.m')}.tsv.gz" for it in listed}


def test_a_downgrade_to_base_leaves_nothing(migrated: Embedded) -> None:
    done = migrated.run("downgrade", "--events", "--yes", "base")
    again = migrated.run("downgrade", "--events", "--yes")

    assert done.code == again.code == Exit.DONE
    assert migrated.catalogue() == {}
    assert again.out == "Nothing to do: ClickHouse has no schema.\n"


def test_a_downgrade_that_deletes_nothing_needs_no_copy(migrated: Embedded) -> None:
    migrated.project.write("nothing", "pass")
    migrated.run("upgrade", "--events")

    done = migrated.run("downgrade", "--events", "--yes")
    here = migrated.run("downgrade", "--events", "--yes", HEAD)

    assert done.code == here.code == Exit.DONE
    assert "  no table and no column\n" in done.out
    assert "Backup" not in done.out
    assert here.out == f"Nothing to do: ClickHouse is at {HEAD}.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--yes"], "migrate-down.sh --events --allow-production REVISION"),
        (["--yes", "--allow-production"], "migrate-down.sh --events --allow-production"),
        (["--allow-production", "base"], "pass --yes to confirm"),
    ],
)
def test_production_is_not_rolled_back_by_accident(
    migrated: Embedded, arguments: list[str], message: str
) -> None:
    production = migrated.project.having(ENVIRONMENT="production")

    done = Embedded(production, migrated.process).run("downgrade", "--events", *arguments)
    after = production.having(ENVIRONMENT="test")
    migrated.process.submit(clickhouse_project.enter, after).result()

    assert done.code == Exit.REFUSED
    assert message in done.err
    assert "events" in migrated.catalogue()


def test_an_irreversible_revision_is_refused(migrated: Embedded) -> None:
    path = migrated.project.write("final", "pass")
    path.write_text(f"{path.read_text()}\nirreversible = 'rows were merged'\n")
    migrated.run("upgrade", "--events")

    done = migrated.run("downgrade", "--events", "--yes")

    assert done.code == Exit.REFUSED
    assert "final cannot be undone: rows were merged." in done.err


def test_an_edited_revision_is_refused_shown_and_can_be_accepted(migrated: Embedded) -> None:
    path = next(migrated.project.revisions.glob(f"*{HEAD}*.py"))
    path.write_text(f"{path.read_text()}\n# new\n")

    refused = migrated.run("upgrade", "--events")
    shown = migrated.run("status", "--events")
    accepted = migrated.run("upgrade", "--events", "--accept-edited")
    again = migrated.run("upgrade", "--events", "--accept-edited")

    assert (refused.code, accepted.code, again.code) == (Exit.REFUSED, Exit.DONE, Exit.DONE)
    assert f"{path.name} was edited after it was applied" in refused.err
    assert "Edited after it was applied: events/versions/" in shown.out
    assert "Accepted events/versions/" in accepted.out
    assert "Accepted" not in again.out


def test_a_clickhouse_of_another_version_of_the_code_is_left_alone(migrated: Embedded) -> None:
    path = migrated.project.write("newer", "pass")
    migrated.run("upgrade", "--events")
    path.unlink()

    up = migrated.run("upgrade", "--events")
    down = migrated.run("downgrade", "--events", "--yes")
    shown = migrated.run("status", "--events")

    assert up.code == down.code == Exit.REFUSED
    assert "ClickHouse is at newer, which these migrations do not have" in up.err
    assert "Not in these migrations: newer" in shown.out


def test_two_heads_are_refused(migrated: Embedded) -> None:
    migrated.project.write("one", "pass")
    migrated.project.write("two", "pass")

    done = migrated.run("upgrade", "--events")

    assert done.code == Exit.REFUSED
    assert "2 heads: one, two; one has to follow the other. Next: " in done.err
    assert "scripts/new-migration.sh --events --rebase." in done.err


def test_a_revision_that_was_applied_can_be_put_behind_another(migrated: Embedded) -> None:
    for name in ("mine", "theirs"):
        table = f"CREATE TABLE IF NOT EXISTS {name} (id UInt8) ENGINE = MergeTree ORDER BY id"
        undo = f"op.execute('DROP TABLE IF EXISTS {name}')"
        migrated.project.write(name, f"op.execute({table!r})", undo)
        assert name == "theirs" or migrated.run("upgrade", "--events").code == Exit.DONE

    moved = migrated.run("new", "--events", "--rebase", "mine")
    down, stamp, up = (line.split()[1:] for line in moved.out.splitlines()[-3:])
    undone = migrated.run("downgrade", "--yes", *down)
    migrated.process.submit(clickhouse_project.stamp, migrated.project, stamp[-1]).result()
    applied = migrated.run("upgrade", *up)

    assert [moved.code, undone.code, applied.code] == [Exit.DONE] * 3, undone.err + applied.err
    assert (down, stamp, up) == (
        ["--events", "theirs"],
        ["--name", "events", "stamp", HEAD],
        ["--events"],
    )
    assert "from 0001 to mine" in applied.out
    assert {"mine", "theirs"} <= migrated.catalogue().keys()


@pytest.mark.parametrize("arguments", [["upgrade", "nonsense"], ["downgrade", "--yes", "nonsense"]])
def test_an_unknown_revision_is_wrong_usage(migrated: Embedded, arguments: list[str]) -> None:
    done = migrated.run(*arguments, "--events")

    assert done.code == Exit.USAGE
    assert "Next: scripts/migrate-status.sh" in done.err


def test_a_failing_statement_and_its_remains_are_named(migrated: Embedded) -> None:
    wrong = "op.execute('ALTER TABLE nope DELETE WHERE 1')"
    path = migrated.project.write("bad", wrong)

    done = migrated.run("upgrade", "--events")

    assert done.code == Exit.FAILED
    assert f"(events/versions/{path.name}, line 5)." in done.err.splitlines()[0]
    assert f"ClickHouse is at {HEAD}, 1 pending; bad is unfinished" in done.err


def test_an_interrupted_downgrade_names_the_command_that_continues(migrated: Embedded) -> None:
    migrated.project.write("stuck", "pass", "op.execute('nonsense')")
    migrated.project.write("last", "pass", after="stuck")
    migrated.run("upgrade", "--events")

    done = migrated.run("downgrade", "--events", "--yes", "2")

    assert done.code == Exit.FAILED
    assert f"then run scripts/migrate-down.sh --events --yes {HEAD}." in done.err


def test_a_revision_that_cannot_be_read_is_named(migrated: Embedded) -> None:
    migrated.project.write("bad", "x = (")

    done = migrated.run("upgrade", "--events")

    assert done.code == Exit.FAILED
    assert "(events/versions/bad.py, line 5)." in done.err
    assert "Nothing was changed. Next: fix the revision" in done.err


def test_a_mutation_that_keeps_failing_is_found(migrated: Embedded) -> None:
    migrated.query(EVENT)
    update = "ALTER TABLE events UPDATE name = toString(throwIf(1)) WHERE 1"
    later = f"{update} SETTINGS mutations_sync = 0"
    migrated.project.write("bad", f"op.execute('{later}')")

    done = [migrated.run("upgrade", "--events") for _ in range(2)]

    for run in done:
        assert run.code == Exit.FAILED
        assert "Failed: ClickHouse is at bad, but it is not sound:\n  events: (UPDATE" in run.err
        assert "next: KILL MUTATION" in run.err


def test_a_folder_that_another_process_uses_is_a_lock(tmp_path: Path) -> None:
    project = Project.in_folder(tmp_path)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as holder:
        holder.submit(clickhouse_project.hold, project).result()
        runs = [start(project, *it, "--events") for it in (["status"], ["upgrade", "--plan"])]
        outputs = [late.communicate()[0].strip() for late in runs]

    for late, printed in zip(runs, outputs, strict=True):
        assert late.returncode == Exit.LOCKED
        assert printed.startswith("Failed: the embedded ClickHouse in ")
        assert "Next: stop the process that uses the folder" in printed
        assert "\n" not in printed


def test_a_server_that_does_not_answer_is_named_without_its_password(embedded: Embedded) -> None:
    project = embedded.project.having(CLICKHOUSE_URL="clickhouse://me:secret@127.0.0.1:1/events")

    done = Embedded(project, embedded.process).run("upgrade", "--events")

    assert done.code == Exit.FAILED
    assert "ClickHouse at 127.0.0.1:1 cannot be reached" in done.err
    assert "secret" not in done.err


def test_a_new_revision_is_empty(migrated: Embedded) -> None:
    done = migrated.run("new", "--events", 'add "source"')
    blank = migrated.run("new", "--events", " ")
    upgraded = migrated.run("upgrade", "--events")

    assert (done.code, blank.code, upgraded.code) == (Exit.DONE, Exit.USAGE, Exit.DONE)
    assert "Wrote events/versions/" in done.out
    assert "add 'source'" in upgraded.out


def test_a_database_without_a_revision_is_adopted_if_it_equals_one(migrated: Embedded) -> None:
    migrated.query("DROP TABLE alembic_version SYNC")
    migrated.query("DROP TABLE migration_history SYNC")
    before = migrated.catalogue()

    refused = migrated.run("upgrade", "--events")
    shown = migrated.run("status", "--events").out
    adopted = migrated.run("upgrade", "--events", "--adopt")

    assert refused.code == Exit.REFUSED
    assert "--events --adopt" in refused.err
    assert "Tables of these migrations without a revision: daily, events" in shown
    assert adopted.code == Exit.DONE, adopted.err
    assert f"Adopted: ClickHouse equals {HEAD}" in adopted.out
    assert before.items() <= migrated.catalogue().items()
    assert migrated.query("SELECT revision, direction FROM migration_history") == [
        (HEAD, "adopted")
    ]
    assert migrated.query("SHOW DATABASES LIKE 'migrator%'") == []
    assert migrated.run("upgrade", "--events").code == Exit.DONE


def test_what_a_killed_adoption_leaves_is_dropped_by_the_next_one(migrated: Embedded) -> None:
    migrated.query("DROP TABLE alembic_version SYNC")
    migrated.query("DROP TABLE migration_history SYNC")
    fault = Fault(3, kill=True)
    killed = start(migrated.project, "upgrade", "--events", "--adopt", fault=fault)

    killed.communicate()
    left = migrated.query("SHOW DATABASES LIKE 'migrator%'")
    adopted = migrated.run("upgrade", "--events", "--adopt")

    assert killed.returncode == -signal.SIGKILL
    assert len(left) == 1
    assert adopted.code == Exit.DONE, adopted.err
    assert migrated.query("SHOW DATABASES LIKE 'migrator%'") == []


def test_a_database_that_differs_from_every_revision_is_not_adopted(migrated: Embedded) -> None:
    migrated.query("TRUNCATE TABLE alembic_version")
    migrated.query("DROP TABLE migration_history SYNC")
    migrated.query("DROP TABLE daily SYNC")
    migrated.query("ALTER TABLE events ADD COLUMN source String, MODIFY COLUMN name FixedString(9)")
    migrated.query("CREATE TABLE other (n Int8) ENGINE = Memory")
    before = migrated.catalogue()

    refused = migrated.run("upgrade", "--events", "--adopt")

    assert refused.code == Exit.REFUSED
    assert f"the nearest is {HEAD}" in refused.err
    assert "not compared: table other" in refused.out
    assert migrated.catalogue() == before
    sql = refused.err.partition("execute it:\n")[2].partition("Next: ")[0]
    for statement in re.split(r";\n", sql):
        if statement.strip():
            migrated.query(statement.removeprefix("-- This deletes values:\n"))
    assert migrated.run("upgrade", "--events", "--adopt").code == Exit.DONE
