"""Whole runs with ClickHouse in processes of their own: killed, at fault, in parallel."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client
from testdb.clickhouse import ClickhouseEnvironment
from testdb.clickhouse.runs import alive, file_of, over, place, runs
from testdb.clickhouse.server import ClickhouseServer, remove_abandoned_folders
from testdb.signature import COMMENT, PREFIX

from tests.processes import ROOT, run_pytest, running_pytest, wait_for

pytestmark = pytest.mark.slow

VICTIMS = Path(__file__).with_name("victims_clickhouse.py")


@pytest.fixture
def clickhouse_server(
    isolated_clickhouse: tuple[Client, ClickhouseEnvironment],
) -> ClickhouseServer:
    """The ClickHouse on which tests make databases."""
    return isolated_clickhouse[1].database.server


def run_victims(names: str, *options: str) -> str:
    """Run some of the victim's tests, by their names, and return what it printed."""
    return run_pytest(*options, "-k", names, str(VICTIMS))


def test_what_a_killed_run_left_is_removed_by_the_next(
    clickhouse_server: ClickhouseServer,
    tmp_path: Path,
) -> None:
    options = ["-n", "2", "-k", "waits", str(VICTIMS)]

    def remaining() -> set[str]:
        remove_abandoned_folders()
        clickhouse_server.drop_abandoned()
        folders = {path.name for path in place().glob(f"{run}-*")}
        return folders | (databases & clickhouse_server.databases().keys())

    with running_pytest(*options, VICTIM_FOLDER=str(tmp_path)) as victim:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2, victim)
        databases = {path.name for path in tmp_path.iterdir()}
        [run] = {name.removeprefix(PREFIX).rpartition("_")[0] for name in databases}
        while_running = remaining()

    assert len(while_running) == 2
    wait_for(lambda: remaining() == set())
    assert not file_of(run).exists()


def test_only_databases_of_runs_from_here_that_are_over_are_dropped(
    clickhouse_server: ClickhouseServer,
) -> None:
    server, ended, lives = clickhouse_server, uuid4().hex, uuid4().hex
    comments = {
        f"{PREFIX}{ended}": server.mark(ended),
        f"{PREFIX}{lives}": server.mark(lives),
        f"{PREFIX}{ended}_elsewhere": f"{COMMENT} of run {ended} at another place",
        f"{PREFIX}{ended}_kept": f"{COMMENT} kept",
    }
    for name, comment in comments.items():
        server.client.command(f"CREATE DATABASE {name} COMMENT '{comment}'")

    with alive(lives):
        server.drop_abandoned()
        left = comments.keys() & server.databases().keys()

    assert left == comments.keys() - {f"{PREFIX}{ended}"}
    for name in left:
        server.drop(name)


def test_a_run_is_over_when_its_last_process_ends() -> None:
    run = uuid4().hex

    with alive(run):
        with alive(run), over(run) as is_over:
            assert not is_over
        with over(run) as is_over:
            assert not is_over
        assert run in runs()

    assert run not in runs()
    with over(run) as is_over:
        assert is_over


# A run that says so when it has to wait for a lock.
BEGINNING = """
import fcntl
import sys

from testdb.clickhouse.runs import alive, over

flock = fcntl.flock


def tell(file, kind):
    try:
        flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        if kind & fcntl.LOCK_NB:
            raise
        print("waits", flush=True)
        flock(file, kind)


fcntl.flock = tell
with alive(sys.argv[1]), over(sys.argv[1]) as is_over:
    print(is_over, flush=True)
"""


def test_a_run_can_begin_while_another_one_cleans_up() -> None:
    run = uuid4().hex

    with over(run):
        beginning = subprocess.Popen(
            [sys.executable, "-c", BEGINNING, run],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert beginning.stdout is not None
        first = beginning.stdout.readline()
        is_over = beginning.poll() is not None

    assert (first, is_over) == ("waits\n", False)
    assert beginning.communicate()[0] == "False\n"
    assert run not in runs()


def test_workers_do_not_meet() -> None:
    output = run_victims("adds or finds", "-n", "2", "--dist", "each")

    assert "4 passed" in output


@pytest.mark.parametrize(
    ("choice", "tests", "kept"),
    [("failed", "adds or fails", 1), ("always", "adds or fails", 2), ("never", "fails", 0)],
)
def test_databases_are_kept_on_request(
    clickhouse_server: ClickhouseServer,
    choice: str,
    tests: str,
    kept: int,
) -> None:
    output = run_victims(tests, "--keep-database", choice, "-rA")

    commands = re.findall(r'^python -ic "(.*)"$', output, re.MULTILINE)
    counts = []
    for command in commands:
        code = f"{command}\nprint(client.command('SELECT count() FROM metrics'))"
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
        counts.append(done.stdout.strip())
        for folder in re.findall(r"path='([^']*)'", command):
            shutil.rmtree(Path(folder).parent)
        for name in re.findall(rf"database='({PREFIX}kept_\w+)'", command):
            clickhouse_server.drop(name)
    assert counts == ["1"] * kept


def test_tests_at_fault_are_named_and_harm_no_other(
    clickhouse_server: ClickhouseServer,
    tmp_path: Path,
) -> None:
    verdicts = {"leaves_a_result_unread": "a result that is not read to its end: SELECT number"}
    if clickhouse_server.folder is not None:
        verdicts["leaves_a_database"] = "the database left_over"
    target = tmp_path / "report.json"

    output = run_victims(" or ".join([*verdicts, "finds"]), f"--isolation-report={target}")

    for name, verdict in verdicts.items():
        assert f"ERROR at teardown of test_{name}" in output
        assert re.search(rf"^  .*::test_{name}: .*{re.escape(verdict)}", output, re.MULTILINE)
    assert re.search(rf"{len(verdicts) + 1} passed.* {len(verdicts)} error", output)
    steps = json.loads(target.read_text())["steps"]
    assert {"clickhouse creation", "clickhouse client"} <= steps.keys()
    assert steps["clickhouse reset (nothing)"]["count"] == len(verdicts) + 1
