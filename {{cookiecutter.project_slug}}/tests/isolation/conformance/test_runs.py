"""Whole runs in processes of their own: killed, failing, in parallel, with their options."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from tests.isolation.server import Server

pytestmark = [pytest.mark.integration, pytest.mark.slow]

VICTIM = Path(__file__).with_name("victim.py")
RunVictim = Callable[..., str]


@pytest.fixture
def run_victim(pytestconfig: pytest.Config) -> RunVictim:
    """Runs one of the victim's tests, and returns what pytest printed."""

    def run(test: str, *options: str) -> str:
        command = [sys.executable, "-m", "pytest", "--no-cov", "-p", "no:randomly", *options]
        return subprocess.run(
            [*command, "-k", test, str(VICTIM)],
            cwd=pytestconfig.rootpath,
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    return run


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait up to half a minute."""
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail("waited in vain")


def of_other_runs(server: Server) -> set[str]:
    """Return the databases that belong to another run than this one."""
    return {
        name
        for name, comment in server.databases().items()
        if " of run " in comment and not comment.endswith(server.run)
    }


def test_what_a_killed_run_left_is_removed_by_the_next(
    postgresql_server: Server,
    pytestconfig: pytest.Config,
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "pytest", "--no-cov", "--database", "postgresql", "-n", "2"]
    victim = subprocess.Popen(
        [*command, "-k", "waits", str(VICTIM)],
        cwd=pytestconfig.rootpath,
        env={**os.environ, "VICTIM_FOLDER": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    while_running = of_other_runs(postgresql_server)
    postgresql_server.drop_abandoned()
    spared = of_other_runs(postgresql_server)

    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()

    def cleaned() -> bool:
        postgresql_server.drop_abandoned()
        return of_other_runs(postgresql_server).isdisjoint(while_running)

    assert len(while_running) >= 2
    assert spared >= while_running
    wait_for(cleaned)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_failed_tests_database_is_kept_on_request(
    run_victim: RunVictim,
    postgresql_server: Server,
    database: str,
) -> None:
    output = run_victim("fails", "--database", database, "--keep-database", "failed")

    count = text("SELECT count(*) FROM users")
    if database == "sqlite":
        path = Path(re.search(r"sqlite3 (\S+)", output)[1])  # type: ignore[index]
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute(count.text).fetchone()[0]
        path.unlink()
        path.parent.rmdir()
    else:
        url = make_url(re.search(r"psql (\S+)", output)[1])  # type: ignore[index]
        engine = create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool)
        with engine.connect() as connection:
            rows = connection.scalar(count)
        postgresql_server.drop(str(url.database))
    assert rows == 1


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_test_that_ends_its_transaction_is_named_and_harms_no_other(
    run_victim: RunVictim,
    database: str,
) -> None:
    output = run_victim("ends or finds", "--database", database)

    assert "ERROR at teardown of test_ends_its_transaction" in output
    assert "use isolated_database" in output
    assert re.search(r"2 passed.* 1 error", output)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_test_that_keeps_a_connection_is_named(run_victim: RunVictim, database: str) -> None:
    output = run_victim("leaves", "--database", database)

    assert "ERROR at teardown of test_leaves_a_connection_open" in output
    assert "left 1 connections of isolated_database open" in output


def test_the_report_counts_what_workers_did(run_victim: RunVictim, tmp_path: Path) -> None:
    target = tmp_path / "report.json"

    output = run_victim("fails or finds", "-n", "2", f"--isolation-report={target}")

    report = json.loads(target.read_text())
    assert report["sqlite creation"]["count"] == 1
    assert re.search(r"sqlite creation +1 +[\d.]+ ms", output)
