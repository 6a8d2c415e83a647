"""The migrations of ClickHouse: what they leave, what a kill does to them, what the scripts say."""

import gzip
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL

from placeholder_service.analytics.client import open_client
from placeholder_service.analytics.migrate.config import script_directory
from placeholder_service.db.migrate.commands import (
    DONE,
    FAILED,
    LOCKED,
    REFUSED,
    USAGE,
)

from tests.analytics import migrations
from tests.analytics.migrations import (
    HEAD,
    REVISIONS,
    Embedded,
    Fault,
    Project,
    goes_down_to_base,
    start,
)

pytestmark = [pytest.mark.integration, pytest.mark.slow]

OWN_TABLES = {"alembic_version", "migration_history"}
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
EVENT = """
    INSERT INTO events (event_id, occurred_at, user_id, name, entity_id, properties)
    SELECT generateUUIDv4(), now64(6), NULL, 'thought.created', generateUUIDv4(), 'a\\nb'
    FROM numbers(3)
"""


@pytest.fixture(scope="module")
def process() -> Iterator[ProcessPoolExecutor]:
    """A process for ClickHouse."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.fixture
def embedded(process: ProcessPoolExecutor, tmp_path: Path) -> Embedded:
    """A project whose ClickHouse is not there yet."""
    return Embedded(Project.in_folder(tmp_path), process)


@pytest.fixture
def migrated(embedded: Embedded) -> Embedded:
    """A project whose ClickHouse has all migrations."""
    assert embedded.run("upgrade", "--analytics").code == DONE
    return embedded


def test_there_is_one_head() -> None:
    assert len(script_directory().get_heads()) == 1


def test_the_history_is_linear() -> None:
    assert not any(script.is_merge_point for script in script_directory().walk_revisions())


@goes_down_to_base
def test_every_revision_goes_up_and_down_and_up_again(embedded: Embedded) -> None:
    before, ways = embedded.catalogue(), {}

    for revision in REVISIONS:
        up = embedded.run("upgrade", "--analytics", revision)
        applied = embedded.catalogue()
        down = embedded.run("downgrade", "--analytics", "--yes")
        after = embedded.catalogue()
        again = embedded.run("upgrade", "--analytics", revision)
        assert (up.code, down.code, again.code) == (DONE, DONE, DONE), (up, down, again)
        ways[revision] = (after == before, embedded.catalogue() == applied)
        before = applied

    assert ways == dict.fromkeys(REVISIONS, (True, True))


def test_a_connection_of_the_callers_gets_no_history(embedded: Embedded) -> None:
    embedded.project.write("extra", ADD, REMOVE)

    ways = embedded.process.submit(migrations.walk, embedded.project).result()

    assert ways == ["extra", "extra", HEAD, HEAD]
    assert "migration_history" not in embedded.catalogue()


def test_rows_survive_an_upgrade(migrated: Embedded) -> None:
    migrated.ask(EVENT)
    migrated.project.write("extra", ADD, REMOVE)

    migrated.run("upgrade", "--analytics")

    assert migrated.ask("SELECT count() FROM events") == [(3,)]


@pytest.fixture
def states(embedded: Embedded) -> dict[str, dict[str, str]]:
    """The catalogue at each revision; folders of their names keep what ClickHouse has there."""
    embedded.project.write("extra", ADD, REMOVE)
    found = {}
    for revision in (HEAD, "extra"):
        embedded.run("upgrade", "--analytics", revision)
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

        failed = embedded.run(*broken, "--analytics", fault=Fault(number))
        done = embedded.run(*repeated, "--analytics")

        story = (number, failed, done)
        assert done.code == DONE, story
        assert embedded.catalogue() == states[after], story
        assert embedded.ask(VERSIONS) == [(after,)], story
        if failed.code == DONE:
            break
    assert number == 7, "two statements of the history, two of the revision, two of its version"


# Amid a revision, and between the two statements that change the version.
@pytest.mark.parametrize("number", [2, 5])
def test_a_run_that_is_killed_can_be_repeated(migrated: Embedded, number: int) -> None:
    before = migrated.catalogue().keys()
    migrated.project.write("extra", ADD, REMOVE)
    killed = start(migrated.project, "upgrade", "--analytics", fault=Fault(number, kill=True))

    killed.communicate()
    shown = migrated.run("status", "--analytics")
    repeated = migrated.run("upgrade", "--analytics")

    assert killed.returncode == -signal.SIGKILL
    assert "begun    extra" in shown.out
    assert repeated.code == DONE, repeated
    assert migrated.ask(VERSIONS) == [("extra",)]
    assert migrated.catalogue().keys() == before | {"extra"}


@goes_down_to_base
@pytest.mark.parametrize("number", [2, 5])
def test_a_first_run_that_is_killed_can_be_taken_back(embedded: Embedded, number: int) -> None:
    killed = start(embedded.project, "upgrade", "--analytics", fault=Fault(number, kill=True))

    killed.communicate()
    taken_back = embedded.run("downgrade", "--analytics", "--yes", "base")

    assert killed.returncode == -signal.SIGKILL
    assert taken_back.code == DONE, taken_back
    assert embedded.catalogue() == {}


def test_of_runs_at_the_same_time_on_a_folder_one_works(embedded: Embedded) -> None:
    runs = [start(embedded.project, "upgrade", "--analytics") for _ in range(3)]

    printed = [run.communicate()[0] for run in runs]

    assert {run.returncode for run in runs} <= {DONE, LOCKED}, printed
    assert sum("Upgraded ClickHouse" in text for text in printed) == 1, printed
    assert embedded.ask(VERSIONS) == [(HEAD,)]


@pytest.mark.skipif("TEST_CLICKHOUSE_HOST" not in os.environ, reason="there is no server")
def test_runs_at_the_same_time_on_a_server_apply_each_revision_once(tmp_path: Path) -> None:
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
        runs = [start(project, "upgrade", "--analytics") for _ in range(3)]
        printed = [run.communicate()[0] for run in runs]
        taken_back = start(project, "downgrade", "--analytics", "--yes", "base")
        said, _ = taken_back.communicate()
    finally:
        with closing(open_client(url.set(database="default"))) as client:
            client.command(f"DROP DATABASE IF EXISTS {url.database}")

    assert [run.returncode for run in runs] == [DONE] * 3, printed
    assert sum("Upgraded ClickHouse" in text for text in printed) == 1, printed
    assert taken_back.returncode == DONE, said


def test_an_upgrade_is_of_both_databases_and_a_second_one_has_nothing_to_do(
    embedded: Embedded,
) -> None:
    first = embedded.run("upgrade")
    second = embedded.run("upgrade")

    assert first.code == second.code == DONE
    assert "Upgraded from an empty schema" in first.out
    assert f"Upgraded ClickHouse from an empty schema to {HEAD}" in first.out
    assert second.out.splitlines()[1:] == [f"Nothing to do: ClickHouse is at {HEAD}."]


def test_a_failure_of_the_first_database_stops_before_the_second(embedded: Embedded) -> None:
    path = embedded.project.root / "migrations" / "versions" / "bad.py"
    path.write_text("x = (")

    done = embedded.run("upgrade")

    assert done.code == FAILED
    assert not embedded.project.folder.exists()


def test_a_revision_alone_is_one_of_the_transactional_database(embedded: Embedded) -> None:
    done = embedded.run("upgrade", "0001")

    assert done.code == DONE
    assert not embedded.project.folder.exists()


def test_a_plan_shows_the_sql_of_both_and_touches_nothing(embedded: Embedded) -> None:
    done = embedded.run("upgrade", "--plan")

    assert done.code == DONE
    assert "CREATE TABLE users" in done.out
    assert "CREATE TABLE IF NOT EXISTS events" in done.out
    assert not embedded.project.folder.exists()


def test_a_plan_of_nothing_says_so(migrated: Embedded) -> None:
    done = migrated.run("upgrade", "--analytics", "--plan")

    assert (done.code, done.out) == (DONE, f"Nothing to do: ClickHouse is at {HEAD}.\n")


def test_the_status_is_of_both_and_touches_nothing(embedded: Embedded) -> None:
    done = embedded.run("status")

    assert done.code == DONE
    assert "Database: sqlite" in done.out
    assert f"  pending  {REVISIONS[0]}" in done.out[done.out.index("ClickHouse: chdb") :]
    assert not embedded.project.folder.exists()


def test_a_downgrade_says_what_goes_and_keeps_a_copy(embedded: Embedded) -> None:
    embedded.project.write("extra", ADD, REMOVE)
    embedded.run("upgrade", "--analytics")
    embedded.ask(EVENT)

    done = embedded.run("downgrade", "--analytics", "--yes")

    assert done.code == DONE
    assert "  table extra: 0 rows\n  column events.source: 3 values\n" in done.out
    assert f"Downgraded ClickHouse from extra to {HEAD}." in done.out
    [copy] = (embedded.project.root / "backups").glob("clickhouse-extra-*/events.tsv.gz")
    names, types, *rows = gzip.decompress(copy.read_bytes()).decode().splitlines()
    assert names.split("\t")[-1] == "source"
    assert types.split("\t")[0] == "UUID"
    assert len(rows) == 3


@goes_down_to_base
def test_a_downgrade_to_base_leaves_nothing(migrated: Embedded) -> None:
    done = migrated.run("downgrade", "--analytics", "--yes", "base")
    again = migrated.run("downgrade", "--analytics", "--yes")

    assert done.code == again.code == DONE
    assert migrated.catalogue() == {}
    assert again.out == "Nothing to do: ClickHouse has no schema.\n"


def test_a_downgrade_that_deletes_nothing_needs_no_copy(migrated: Embedded) -> None:
    migrated.project.write("nothing", "pass")
    migrated.run("upgrade", "--analytics")

    done = migrated.run("downgrade", "--analytics", "--yes")
    here = migrated.run("downgrade", "--analytics", "--yes", HEAD)

    assert done.code == here.code == DONE
    assert "  no table and no column\n" in done.out
    assert "Backup" not in done.out
    assert here.out == f"Nothing to do: ClickHouse is at {HEAD}.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--yes"], "migrate-down.sh --analytics --allow-production REVISION"),
        (["--yes", "--allow-production"], "migrate-down.sh --analytics --allow-production"),
        (["--allow-production", "base"], "Next: use --yes if you mean it"),
    ],
)
def test_production_is_not_rolled_back_by_accident(
    migrated: Embedded, arguments: list[str], message: str
) -> None:
    production = migrated.project.having(ENVIRONMENT="production")

    done = Embedded(production, migrated.process).run("downgrade", "--analytics", *arguments)
    migrated.process.submit(migrations.enter, production.having(ENVIRONMENT="test")).result()

    assert done.code == REFUSED
    assert message in done.err
    assert "events" in migrated.catalogue()


def test_what_cannot_be_taken_back_is_refused(migrated: Embedded) -> None:
    path = migrated.project.write("final", "pass")
    path.write_text(f"{path.read_text()}\nirreversible = 'rows were merged'\n")
    migrated.run("upgrade", "--analytics")

    done = migrated.run("downgrade", "--analytics", "--yes")

    assert done.code == REFUSED
    assert "final cannot be taken back: rows were merged." in done.err


def test_an_edited_revision_is_refused_shown_and_can_be_accepted(migrated: Embedded) -> None:
    path = next(migrated.project.revisions.glob(f"*{HEAD}*.py"))
    path.write_text(f"{path.read_text()}\n# new\n")

    refused = migrated.run("upgrade", "--analytics")
    shown = migrated.run("status", "--analytics")
    accepted = migrated.run("upgrade", "--analytics", "--accept-edited")
    again = migrated.run("upgrade", "--analytics", "--accept-edited")

    assert (refused.code, accepted.code, again.code) == (REFUSED, DONE, DONE)
    assert f"{path.name} was edited after it was applied" in refused.err
    assert "Edited after it was applied: migrations/analytics/versions/" in shown.out
    assert "Accepted migrations/analytics/versions/" in accepted.out
    assert "Accepted" not in again.out


def test_a_clickhouse_of_another_version_of_the_code_is_left_alone(migrated: Embedded) -> None:
    path = migrated.project.write("newer", "pass")
    migrated.run("upgrade", "--analytics")
    path.unlink()

    up = migrated.run("upgrade", "--analytics")
    down = migrated.run("downgrade", "--analytics", "--yes")
    shown = migrated.run("status", "--analytics")

    assert up.code == down.code == REFUSED
    assert "ClickHouse is at newer, which these migrations do not have" in up.err
    assert "Not one of these migrations: newer" in shown.out


def test_two_heads_are_refused(migrated: Embedded) -> None:
    migrated.project.write("one", "pass")
    migrated.project.write("two", "pass")

    done = migrated.run("upgrade", "--analytics")

    assert done.code == REFUSED
    assert "have 2 heads: one two. Next: make the one that was merged last" in done.err


@pytest.mark.parametrize("arguments", [["upgrade", "nonsense"], ["downgrade", "--yes", "nonsense"]])
def test_an_unknown_revision_is_a_wrong_call(migrated: Embedded, arguments: list[str]) -> None:
    done = migrated.run(*arguments, "--analytics")

    assert done.code == USAGE
    assert "Next: scripts/migrate-status.sh" in done.err


def test_a_statement_that_fails_is_named_and_so_is_what_is_left(migrated: Embedded) -> None:
    wrong = "op.execute('ALTER TABLE nope DELETE WHERE 1')"
    path = migrated.project.write("bad", wrong)

    done = migrated.run("upgrade", "--analytics")

    assert done.code == FAILED
    assert f"(migrations/analytics/versions/{path.name}, line 5)." in done.err.splitlines()[0]
    assert f"ClickHouse is at {HEAD}, and 1 to apply; bad is unfinished" in done.err


def test_a_downgrade_that_breaks_off_tells_how_to_go_on(migrated: Embedded) -> None:
    migrated.project.write("stuck", "pass", "op.execute('nonsense')")
    migrated.project.write("last", "pass", after="stuck")
    migrated.run("upgrade", "--analytics")

    done = migrated.run("downgrade", "--analytics", "--yes", "2")

    assert done.code == FAILED
    assert f"then run scripts/migrate-down.sh --analytics --yes {HEAD}." in done.err


def test_a_revision_that_cannot_be_read_is_named(migrated: Embedded) -> None:
    migrated.project.write("bad", "x = (")

    done = migrated.run("upgrade", "--analytics")

    assert done.code == FAILED
    assert "(migrations/analytics/versions/bad.py, line 5)." in done.err
    assert "Nothing was changed. Next: mend the revision" in done.err


def test_a_change_of_rows_that_goes_on_failing_is_found(migrated: Embedded) -> None:
    migrated.ask(EVENT)
    update = "ALTER TABLE events UPDATE properties = toString(throwIf(1)) WHERE 1"
    later = f"{update} SETTINGS mutations_sync = 0"
    migrated.project.write("bad", f"op.execute('{later}')")

    done = [migrated.run("upgrade", "--analytics") for _ in range(2)]

    for run in done:
        assert run.code == FAILED
        assert "Failed: ClickHouse is at bad, but it is not sound:\n  events: (UPDATE" in run.err
        assert "next: KILL MUTATION" in run.err


def test_a_folder_that_another_process_uses_is_a_lock(tmp_path: Path) -> None:
    project = Project.in_folder(tmp_path)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as holder:
        holder.submit(migrations.hold, project).result()
        late = start(project, "status", "--analytics")
        printed, _ = late.communicate()

    assert late.returncode == LOCKED
    assert "Next: stop the process that uses the folder" in printed


def test_a_server_that_does_not_answer_is_named_without_its_password(embedded: Embedded) -> None:
    project = embedded.project.having(CLICKHOUSE_URL="clickhouse://me:secret@127.0.0.1:1/events")

    done = Embedded(project, embedded.process).run("upgrade", "--analytics")

    assert done.code == FAILED
    assert "ClickHouse at 127.0.0.1:1 cannot be reached" in done.err
    assert "secret" not in done.err


def test_unusable_settings_fail_with_a_message(embedded: Embedded) -> None:
    project = embedded.project.having(CLICKHOUSE_URL="mysql://me:secret@127.0.0.1/events")

    done = Embedded(project, embedded.process).run("upgrade", "--analytics")

    assert done.code == FAILED
    assert "The settings are not usable" in done.err
    assert "secret" not in done.err


def test_a_new_revision_is_written_to_be_filled_in(migrated: Embedded) -> None:
    done = migrated.run("new", "--analytics", 'add "source"')
    blank = migrated.run("new", "--analytics", " ")
    upgraded = migrated.run("upgrade", "--analytics")

    assert (done.code, blank.code, upgraded.code) == (DONE, USAGE, DONE)
    assert "Wrote migrations/analytics/versions/" in done.out
    assert "add 'source'" in upgraded.out
