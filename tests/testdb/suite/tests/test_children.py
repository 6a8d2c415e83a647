"""Attacks: processes that a test starts without the variables that tests replaced."""

import json
import multiprocessing
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from testdb import ProtectedDatabaseError
from testdb.abandoned import held
from testdb.guard import child, state
from testdb.guard.children import LIBRARY, guard_children

from tests.conftest import DEVELOPMENT
from tests.processes import LIMIT, running_pytest

pytestmark = pytest.mark.slow

NAME = "DATABASE_URL"
DEVELOPMENT_FILE = DEVELOPMENT.removeprefix("sqlite:///")
LACKING = {name: value for name, value in os.environ.items() if name != NAME}
START = "import subprocess, sys; subprocess.run(sys.argv[1:], env={}, check=True)"


WAYS: dict[str, Callable[[list[str]], object]] = {
    "empty environment": lambda command: subprocess.run(command, env={}, check=True),
    "left out": lambda command: subprocess.run(command, env=LACKING, check=True),
    "empty value": lambda command: subprocess.run(command, env={**LACKING, NAME: ""}, check=True),
    "empty, in lower case": lambda command: subprocess.run(
        command, env={**LACKING, NAME.lower(): ""}, check=True
    ),
    "new session": lambda command: subprocess.run(
        command, env={}, start_new_session=True, check=True
    ),
    "isolated mode": lambda command: subprocess.run(
        [command[0], "-I", *command[1:]], env={}, check=True
    ),
    "grandchild": lambda command: subprocess.run(
        [sys.executable, "-c", START, *command], check=True
    ),
    "env -u": lambda command: subprocess.run(["env", "-u", NAME, *command], check=True),
    "env -i": lambda command: subprocess.run(["env", "-i", *command], check=True),
    "unset": lambda command: subprocess.run(
        ["sh", "-c", f"unset {NAME}; {shlex.join(command)}"],
        check=True,
    ),
    "os.system": lambda command: os.system(f"{NAME}= {shlex.join(command)}"),  # noqa: S605
    "os.spawnve": lambda command: os.spawnve(os.P_WAIT, command[0], command, {}),  # noqa: S606
    "os.posix_spawn": lambda command: os.waitpid(os.posix_spawn(command[0], command, {}), 0),
}


@pytest.mark.parametrize("start", WAYS.values(), ids=WAYS)
def test_a_process_without_the_variable_gets_what_tests_put_there(
    tmp_path: Path, start: Callable[[list[str]], object]
) -> None:
    seen = tmp_path / "seen"
    program = f"import os, pathlib; pathlib.Path({str(seen)!r}).write_text(os.environ[{NAME!r}])"

    start([sys.executable, "-c", program])

    assert seen.read_text() == os.environ[NAME]


# Programs that name a protected database themselves. `real` is a file; a server has this address.
REMOTE = "host='192.0.2.1', port=2"
NAMING = {
    "sqlite3": "import sqlite3; sqlite3.connect(real)",
    "ATTACH": "import sqlite3; sqlite3.connect(':memory:').execute(f\"ATTACH '{real}' AS other\")",
    "SQLAlchemy": "import sqlalchemy; sqlalchemy.create_engine(f'sqlite:///{real}').connect()",
    "server": f"sqlalchemy.create_engine(sqlalchemy.URL.create('postgresql', {REMOTE})).connect()",
    "socket": "import socket; socket.create_connection(('192.0.2.1', 2), 1)",
    "psycopg": f"import psycopg; psycopg.connect({REMOTE}, connect_timeout=2)",
    "psycopg.pq": "import psycopg.pq as pq; pq.PGconn.connect_start(b'host=192.0.2.1 port=2')",
    "psycopg2": f"import psycopg2; psycopg2.connect({REMOTE}, connect_timeout=2)",
    "client": "import subprocess; subprocess.run(['sqlite3', real])",
}
TRY_ALL = """
import sys
real, programs = sys.argv[1], sys.argv[2:]
for program in programs:
    try:
        exec(program)
        print("connected")
    except Exception as error:
        print(type(error).__name__)
"""
GRANDCHILD = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]], env={})"


@pytest.mark.parametrize("before", [[], ["-c", GRANDCHILD]], ids=["child", "its own child"])
def test_a_python_process_guards_itself(before: list[str]) -> None:
    program = ["-c", TRY_ALL, DEVELOPMENT_FILE, *NAMING.values()]

    done = subprocess.run(
        [sys.executable, *before, *program], env={}, capture_output=True, text=True, check=True
    )

    assert dict(zip(NAMING, done.stdout.split(), strict=True)) == dict.fromkeys(
        NAMING, "ProtectedDatabaseError"
    )
    assert not Path(DEVELOPMENT_FILE).exists()


def connect_to_real() -> None:
    """Try to open the development database."""
    sqlite3.connect(DEVELOPMENT_FILE)


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_process_of_multiprocessing_guards_itself(method: str) -> None:
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool,
        pytest.raises(ProtectedDatabaseError),
    ):
        pool.submit(connect_to_real).result()


def see_url() -> str | None:
    """Return the URL that this process has."""
    return os.environ.get(NAME)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_multiprocessing_after_the_variable_was_deleted(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    before = os.environ[NAME]
    monkeypatch.delenv(NAME)

    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        seen = pool.submit(see_url).result()

    assert seen == before


def test_the_process_says_what_was_missing_and_what_to_do() -> None:
    done = run_python("pass", LACKING)

    assert f"without {NAME}" in done.stderr
    assert "os.environ" in done.stderr


@pytest.mark.parametrize("name", [NAME, NAME.lower()])
def test_a_value_of_ones_own_stays(name: str) -> None:
    program = f"import os; print(os.environ.get({NAME!r}), os.environ[{name!r}])"

    done = run_python(program, {**LACKING, name: "sqlite:///own.db"})

    assert done.stdout.split()[1] == "sqlite:///own.db"
    assert done.stdout.split()[0] in ("None", "sqlite:///own.db")
    assert done.stderr == ""


def run_python(program: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program in an environment of its own."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True)


def name_of(pid: int) -> str:
    """Return the name of a process as the runs have it."""
    return child.look_up(pid)[0]


GUARD = {"guard": state(), **LIBRARY}


# Whose run it is, by what a test starts, and what its process then has.
def test_what_a_killed_run_left_in_the_environment_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    runs = tmp_path / Path(child.RUNS).name
    runs.mkdir()
    alive = runs / child.look_up(os.getppid())[0]
    held_elsewhere = runs / "4194305 1"
    for name in (alive.name, held_elsewhere.name, "4194305 2", "4194305 3.4194305"):
        (runs / name).touch()

    with held(held_elsewhere), guard_children([]):
        own = runs / child.look_up(os.getpid())[0]
        assert {*runs.iterdir()} == {alive, held_elsewhere, own}

    assert {*runs.iterdir()} == {alive, held_elsewhere}


RUNS: dict[str, tuple[Callable[[int], str], str]] = {
    "above it": (lambda _: name_of(os.getpid()), "of tests"),
    "beside it": (name_of, "None"),
    "killed, its id used again": (lambda _: f"{os.getpid()} 1", "None"),
}


@pytest.mark.parametrize(("run", "expected"), RUNS.values(), ids=RUNS)
def test_only_a_run_above_the_process_counts(
    tmp_path: Path, run: Callable[[int], str], expected: str
) -> None:
    program = (
        "import os, sys\n"
        "from testdb.guard import child\n"
        "child.RUNS = sys.argv[1]\n"
        "child.restore()\n"
        "print(os.environ.get('NEW_VARIABLE'))"
    )

    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        known = {"variables": {"NEW_VARIABLE": "of tests"}, **GUARD}
        (tmp_path / run(other.pid)).write_text(json.dumps(known))
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)],
            check=True,
            capture_output=True,
            text=True,
        )

    assert done.stdout.strip() == expected


@pytest.mark.skipif(shutil.which("ps") is None, reason="there is no ps")
def test_ancestors_are_found_where_there_is_no_proc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "PROCESSES", str(tmp_path))

    here = child.ancestors(os.getpid())
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    elsewhere = child.ancestors(os.getpid())

    assert here == elsewhere
    assert here[1].startswith(f"{os.getppid()} ")


def test_a_run_that_is_over_leaves_no_file() -> None:
    runs = Path(sysconfig.get_path("purelib")) / Path(child.RUNS).name

    # The file may be there for a moment only. Other runs have files of their own.
    with running_pytest("-k", "outside", "tests/test_db_session.py") as run:
        output, _ = run.communicate(timeout=LIMIT)

    assert run.returncode == pytest.ExitCode.OK, output
    assert list(runs.glob(f"{run.pid} *")) == []
