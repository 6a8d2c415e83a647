"""Migrations of ClickHouse: what they leave, what a kill does to them, what the commands say."""

import gzip
import os
import re
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from uuid import uuid4

import migrator
import pytest
from migrator import Exit
from migrator.clickhouse.connections import open_client
from sqlalchemy import URL

from tests.migrator import clickhouse_project, sample
from tests.migrator.clickhouse_project import EVENT, HEAD, Embedded, Fault, Project, start
from tests.running import LIMIT

VERSIONS = "SELECT version_num FROM alembic_version"

# A revision that makes a column and a table.
ADD = """
op.execute("ALTER TABLE events ADD COLUMN IF NOT EXISTS source String")
op.execute("CREATE TABLE IF NOT EXISTS extra (n Int64) ENGINE = MergeTree ORDER BY n")
"""
REMOVE = """
op.execute("DROP TABLE IF EXISTS extra")
op.execute("ALTER TABLE events DROP COLUMN IF EXISTS source")
"""


@pytest.fixture(scope="module")
def process() -> Iterator[ProcessPoolExecutor]:
    """Yield a process for ClickHouse."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.fixture
def embedded(process: ProcessPoolExecutor, tmp_path: Path) -> Embedded:
    """Return a project whose ClickHouse is not there yet."""
    return Embedded(Project.in_folder(tmp_path), process)


@pytest.fixture
def migrated(embedded: Embedded) -> Embedded:
    """Return a project whose ClickHouse has all migrations."""
    assert embedded.run("upgrade", "--events").code == Exit.DONE
    return embedded


@pytest.mark.parametrize(
    "name",
    [
        "test_there_is_one_head",
        "test_the_history_is_linear",
        "test_every_revision_has_a_downgrade_or_says_why_not",
        "test_every_downgrade_restores_the_schema",
        "test_every_downgrade_runs_with_rows",
        "test_rows_survive_every_revision",
        "test_the_linter_finds_nothing",
    ],
)
def test_the_ready_made_tests_pass(embedded: Embedded, name: str) -> None:
    embedded.project.write("extra", ADD, REMOVE)

    embedded.process.submit(clickhouse_project.run_ready_made_test, embedded.project, name).result()


MODELS = "test_the_models_match_the_migrations"
PARTS = "test_the_constraints_of_the_models_match_the_migrations"


# What changes the tables, and what the two tests say of it.
DRIFT = {
    MODELS: [
        ("ALTER TABLE events ADD COLUMN extra String", "Column('extra', String"),
        ("ALTER TABLE events RENAME COLUMN name TO title", "'add_column', None, 'events', Column("),
        ("ALTER TABLE daily MODIFY COLUMN count UInt32", "'modify_type'"),
        ("ALTER TABLE daily MODIFY COLUMN count DEFAULT 5", "'modify_default'"),
        ("CREATE TABLE extra (n Int8) ENGINE = Memory", "'remove_table', Table('extra'"),
    ],
    PARTS: [
        ("ALTER TABLE events MODIFY COLUMN name Nullable(String) CODEC(ZSTD(3))", "CODEC(ZSTD(3))"),
        ("ALTER TABLE events COMMENT COLUMN id 'a, (b'", "COMMENT 'a, (b'"),
        ("ALTER TABLE events MODIFY TTL toDateTime(at)", "TTL toDateTime(at)"),
        ("DROP TABLE daily SYNC", ""),
        (
            (
                "CREATE TABLE daily (name String, day Date MATERIALIZED today(), count UInt64)"
                " ENGINE = MergeTree ORDER BY name"
            ),
            "'ENGINE = MergeTree ORDER BY name SETTINGS",
        ),
    ],
}


@pytest.mark.parametrize("test", [MODELS, PARTS])
def test_tables_that_differ_from_the_code_are_found(embedded: Embedded, test: str) -> None:
    statements = [statement for statement, _ in DRIFT[test]]
    embedded.project.write("drift", f"for it in {statements!r}:\n    op.execute(it)")

    found = embedded.process.submit(
        clickhouse_project.fault_of_ready_made_test, embedded.project, test
    ).result()

    missed = [statement for statement, fault in DRIFT[test] if fault not in found]
    assert (missed, found != "") == ([], True), found
    for part in ("Nullable(String)", "MATERIALIZED today()"):
        assert (part in found) == (test == PARTS)


def test_the_tables_of_the_guide_are_those_of_the_sample() -> None:
    guide = Path(migrator.__file__).parents[2] / "docs" / "clickhouse.md"
    section = guide.read_text(encoding="utf-8").partition("## Tables in code")[2]

    tables, tests, *_ = re.findall(r"```python\n(.*?)```", section, re.DOTALL)

    assert tables in Path(sample.__file__).with_name("tables.py").read_text(encoding="utf-8")
    assert re.findall(r"test_\w+", tests) == [PARTS, MODELS]
    assert "target_metadata=metadata, **environment.online(connection)" in section


@pytest.mark.parametrize("test", [MODELS, PARTS])
def test_what_tables_in_code_cannot_say_is_no_difference(embedded: Embedded, test: str) -> None:
    statements = [
        "CREATE VIEW seen AS SELECT name FROM events",
        "CREATE MATERIALIZED VIEW fed ENGINE = MergeTree ORDER BY name AS SELECT name FROM events",
        (
            "CREATE DICTIONARY known (n UInt64) PRIMARY KEY n SOURCE(NULL()) LAYOUT(FLAT())"
            " LIFETIME(1)"
        ),
        "ALTER TABLE events ADD INDEX names name TYPE minmax",
        "ALTER TABLE events ADD CONSTRAINT named CHECK name != ''",
        "ALTER TABLE events ADD PROJECTION by_name (SELECT name, count() GROUP BY name)",
    ]
    embedded.project.write("more", f"for it in {statements!r}:\n    op.execute(it)")

    found = embedded.process.submit(
        clickhouse_project.fault_of_ready_made_test, embedded.project, test
    ).result()

    assert found == ""


def test_a_connection_of_the_callers_gets_no_history(embedded: Embedded) -> None:
    embedded.project.write("extra", ADD, REMOVE)

    ways = embedded.process.submit(clickhouse_project.walk, embedded.project).result()

    assert ways == ["extra", "extra", HEAD, HEAD]
    assert "migration_history" not in embedded.catalogue()


def test_rows_survive_an_upgrade(migrated: Embedded) -> None:
    migrated.query(EVENT)
    migrated.project.write("extra", ADD, REMOVE)

    migrated.run("upgrade", "--events")

    assert migrated.query("SELECT count() FROM events") == [(3,)]


@pytest.fixture
def states(embedded: Embedded) -> dict[str, dict[str, str]]:
    """Return the catalogue at each revision; a folder of its name holds the data of ClickHouse."""
    embedded.project.write("extra", ADD, REMOVE)
    found = {}
    for revision in (HEAD, "extra"):
        embedded.run("upgrade", "--events", revision)
        found[revision] = embedded.catalogue()
        shutil.copytree(embedded.project.folder, embedded.project.root / revision, symlinks=True)
    return found


@pytest.mark.parametrize(
    ("before", "broken", "repeated", "after"),
    [
        (HEAD, ["upgrade"], ["upgrade"], "extra"),
        (HEAD, ["upgrade"], ["downgrade", "--yes", HEAD], HEAD),
        ("extra", ["downgrade", "--yes", HEAD], ["downgrade", "--yes", HEAD], HEAD),
        ("extra", ["downgrade", "--yes", HEAD], ["upgrade"], "extra"),
    ],
)
def test_a_run_that_fails_after_any_statement_can_be_repeated(
    embedded: Embedded,
    states: dict[str, dict[str, str]],
    before: str,
    broken: list[str],
    repeated: list[str],
    after: str,
) -> None:
    for number in range(1, 20):
        shutil.rmtree(embedded.project.folder)
        source = embedded.project.root / before
        shutil.copytree(source, embedded.project.folder, symlinks=True)

        failed = embedded.run(*broken, "--events", fault=Fault(number))
        done = embedded.run(*repeated, "--events")

        story = (number, failed, done)
        assert done.code == Exit.DONE, story
        assert embedded.catalogue() == states[after], story
        assert embedded.query(VERSIONS) == [(after,)], story
        if failed.code == Exit.DONE:
            break
    assert number == 7, "two statements of the history, two of the revision, two of its version"


# In the middle of a revision, and between the two statements that change the version.
@pytest.mark.parametrize("number", [2, 5])
def test_a_run_that_is_killed_can_be_repeated(migrated: Embedded, number: int) -> None:
    before = migrated.catalogue().keys()
    migrated.project.write("extra", ADD, REMOVE)
    killed = start(migrated.project, "upgrade", "--events", fault=Fault(number, kill=True))

    killed.communicate()
    shown = migrated.run("status", "--events")
    repeated = migrated.run("upgrade", "--events")

    assert killed.returncode == -signal.SIGKILL
    assert "begun    extra" in shown.out
    assert repeated.code == Exit.DONE, repeated
    assert migrated.query(VERSIONS) == [("extra",)]
    assert migrated.catalogue().keys() == before | {"extra"}


@pytest.mark.parametrize("number", [2, 5])
def test_a_first_run_that_is_killed_can_be_undone(embedded: Embedded, number: int) -> None:
    killed = start(embedded.project, "upgrade", "--events", fault=Fault(number, kill=True))

    killed.communicate()
    undone = embedded.run("downgrade", "--events", "--yes", "base")

    assert killed.returncode == -signal.SIGKILL
    assert undone.code == Exit.DONE, undone
    assert embedded.catalogue() == {}


def test_simultaneous_runs_on_a_folder_take_turns(embedded: Embedded) -> None:
    project = embedded.project.having(MIGRATION_WAIT_SECONDS=str(LIMIT))
    runs = [start(project, "upgrade", "--events") for _ in range(4)]

    printed = [run.communicate()[0] for run in runs]

    assert {run.returncode for run in runs} == {Exit.DONE}, printed
    assert sum("Upgraded ClickHouse" in text for text in printed) == 1, printed
    assert embedded.query(VERSIONS) == [(HEAD,)]


@pytest.mark.skipif("TEST_CLICKHOUSE_HOST" not in os.environ, reason="there is no server")
def test_simultaneous_runs_on_a_server_apply_each_revision_once(tmp_path: Path) -> None:
    url = URL.create(
        "clickhouse",
        username=os.environ.get("TEST_CLICKHOUSE_USER", "default"),
        password=os.environ.get("TEST_CLICKHOUSE_PASSWORD"),
        host=os.environ["TEST_CLICKHOUSE_HOST"],
        port=int(os.environ.get("TEST_CLICKHOUSE_PORT", "8123")),
        database=f"test_{uuid4().hex}",
    )
    address = url.render_as_string(hide_password=False)
    project = Project.in_folder(tmp_path).having(CLICKHOUSE_URL=address)
    try:
        runs = [start(project, "upgrade", "--events") for _ in range(3)]
        printed = [run.communicate()[0] for run in runs]
        undone = start(project, "downgrade", "--events", "--yes", "base")
        printed_then, _ = undone.communicate()
    finally:
        with closing(open_client(url.set(database="default"))) as client:
            client.command(f"DROP DATABASE IF EXISTS {url.database}")

    assert [run.returncode for run in runs] == [Exit.DONE] * 3, printed
    assert sum("Upgraded ClickHouse" in text for text in printed) == 1, printed
    assert undone.returncode == Exit.DONE, printed_then


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
