"""Whole runs in processes of their own: killed, failing, in parallel, with their options."""

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL, NullPool, create_engine, make_url, text
from testdb.postgresql.server import Server
from testdb.run import Run
from testdb.signature import PREFIX

from tests.conftest import isolation
from tests.processes import run_pytest, running_pytest, wait_for

pytestmark = pytest.mark.slow

COUNT_USERS = text("SELECT count(*) FROM users")
VICTIMS = Path(__file__).with_name("victims.py")


def run_victims(names: str, *options: str, **variables: str) -> str:
    """Run some of the victims, by their names, and return what pytest printed."""
    return run_pytest(*options, "-k", names, str(VICTIMS), **variables)


@pytest.fixture
def postgresql_server(own_run: Run) -> Server:
    """The PostgreSQL server on which tests make databases."""
    return own_run.postgresql.server


def test_what_a_killed_run_left_is_removed_by_the_next(
    postgresql_server: Server,
    tmp_path: Path,
) -> None:
    options = ["--database", "postgresql", "-n", "2", "-k", "waits", str(VICTIMS)]

    def remaining() -> set[str]:
        postgresql_server.drop_abandoned()
        return {name for name in postgresql_server.databases() if run in name}

    with running_pytest(*options, VICTIM_FOLDER=str(tmp_path)) as victim:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2, victim)
        [run] = {path.name.removeprefix(PREFIX).rpartition("_")[0] for path in tmp_path.iterdir()}
        while_running = remaining()

    assert len(while_running) >= 2
    wait_for(lambda: remaining() == set())


@pytest.mark.parametrize(
    ("database", "choice", "tests", "kept"),
    [
        ("sqlite", "failed", "fails or adds_a_user", 3),
        ("sqlite", "always", "adds_a_user", 1),
        ("postgresql", "failed", "fails or adds_a_user", 3),
    ],
)
def test_databases_are_kept_on_request(
    postgresql_server: Server,
    database: str,
    choice: str,
    tests: str,
    kept: int,
) -> None:
    output = run_victims(tests, "--database", database, "--keep-database", choice, "-rA")

    counts = []
    for name in re.findall(r"^sqlite3 (\S+)", output, re.MULTILINE):
        with closing(sqlite3.connect(name)) as connection:
            counts.append(connection.execute(COUNT_USERS.text).fetchone()[0])
        shutil.rmtree(Path(name).parent)
    for name in re.findall(r"^psql '(\S+)'", output, re.MULTILINE):
        url = make_url(name).set(drivername="postgresql+psycopg")
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            counts.append(connection.scalar(COUNT_USERS))
        postgresql_server.drop(str(url.database))
    assert counts == [1] * kept


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_tests_at_fault_are_named_and_harm_no_other(database: str) -> None:
    verdicts = {
        "ends_its_transaction": "Rows left behind: users: 1 added, 0 removed, 0 changed",
        "commits_its_connection": "Rows left behind: users: 1 added, 0 removed, 0 changed",
        "leaves_a_connection_open": "left 1 connections of isolated_database open",
        "leaves_a_session_open": "left a session open in the middle of a transaction",
        "works_in_two_sessions_at_once": "use isolated_database, whose sessions have connections",
        "breaks_a_deferred_constraint": "a real commit would have failed",
    }
    names = " or ".join([*verdicts, "finds"])

    output = run_victims(names, "--database", database, "--isolation-report")

    for name, verdict in verdicts.items():
        assert f"ERROR at teardown of test_{name}" in output
        assert re.search(rf"^  .*::test_{name}: .*{re.escape(verdict)}", output, re.MULTILINE)
    assert re.search(r"tests at fault +6$", output, re.MULTILINE)
    assert re.search(r"(1 failed, 6|7) passed.* 6 errors", output)


def test_a_file_that_tests_did_not_make_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "real.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE real (id)")
    before = file.read_bytes()

    output = run_victims("adds_a_user", "--database-file", str(file))

    assert "would be overwritten: name a new file" in output
    assert file.read_bytes() == before


def test_the_last_tests_rows_can_be_looked_at_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "debug.db"

    run_victims("adds_a_user", "--database-file", str(file))

    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT email FROM users").fetchall() == [("one@example.com",)]


def test_workers_cannot_share_a_file(tmp_path: Path) -> None:
    output = run_victims("finds", "-n", "2", "--database-file", str(tmp_path / "debug.db"))

    assert "--database-file is for one process: leave out -n" in output


@pytest.fixture
def limited_role(postgresql_server: Server) -> Iterator[URL]:
    """The server's URL for a role that may make databases, and nothing else."""
    role = f"test_{uuid4().hex}"
    postgresql_server.execute(f"CREATE ROLE {role} LOGIN CREATEDB PASSWORD '{role}'")
    yield postgresql_server.url.set(username=role, password=role)
    owned = text("SELECT datname FROM pg_database WHERE datdba = CAST(:role AS regrole)")
    for name in postgresql_server.connection.scalars(owned, {"role": role}).all():
        postgresql_server.drop(name)
    postgresql_server.execute(f"DROP ROLE {role}")


def test_a_role_that_may_only_make_databases_is_enough(limited_role: URL) -> None:
    url = limited_role.render_as_string(hide_password=False)

    output = run_pytest(
        *("--database", "postgresql", "--isolation-report", "-k", "afterwards"),
        str(VICTIMS.with_name("test_isolated_database.py")),
        TEST_DATABASE_URL=url,
    )

    assert re.search(r"postgresql reset \(spare\) +4 ", output)
    assert "4 passed" in output


def test_the_report_counts_what_workers_did(tmp_path: Path) -> None:
    target = tmp_path / "report.json"

    output = run_victims("fails_on or finds", "-n", "2", f"--isolation-report={target}")

    report = json.loads(target.read_text())
    assert report["steps"]["sqlite reset (rows)"]["count"] == 1
    assert re.search(r"sqlite reset \(rows\) +1 +[\d.]+ ms", output)


# What production would do, tests do as well


@pytest.mark.parametrize(("expires", "failing"), [("", 1), ("1", 2)])
def test_what_needs_a_query_fails_where_it_would_in_production(expires: str, failing: int) -> None:
    # An attribute cannot wait for a query of an asynchronous driver.
    expected = failing if isolation.is_async else 0

    output = run_victims("expired or relationship", "-W", "ignore", EXPIRE_ON_COMMIT=expires)

    errors = re.findall(r"^E +sqlalchemy\.exc\.MissingGreenlet", output, re.MULTILINE)
    assert len(errors) == expected
    assert (f"{2 - expected} passed" in output) == (expected < 2)


def test_rows_of_prepare_are_there_in_every_test() -> None:
    output = run_victims("prepared", PREPARED="1")

    assert "2 passed" in output
