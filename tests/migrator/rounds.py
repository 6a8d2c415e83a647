"""Rounds of migrations in real processes, on the sample that the environment names.

    python -m tests.migrator.rounds together|killed ROUNDS PROGRAMS

The first PROGRAMS rounds start the command as a program, as the scripts do; the others fork this
process, which has imported everything. What each round left behind is printed as JSON.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from migrator import main
from migrator.history import HISTORY, OWN_TABLES
from migrator.soundness import find_faults
from migrator.testing.catalogue import Catalogue, read_catalogue

from tests.migrator.project import COMMANDS, HEAD
from tests.migrator.sample.migrate import SCRIPTS, database

ROWS = 200
TOGETHER = 8
# The most rounds for each that is asked for. On a busy machine, few kills hit a migration.
PATIENCE = 10
# The longest time in seconds between a report and the kill; a revision takes about as long.
A_REVISION = 0.02

DATABASE = database()
URL = DATABASE.url
FILE = Path(str(URL.database)) if URL.get_backend_name() == "sqlite" else None
START = f"{URL.database}_start"

Look = tuple[str, Catalogue, dict[str, int], list[str]]
Found = dict[str, Any]


def connect() -> sa.Connection:
    """Return a connection to the database of the rounds."""
    return sa.create_engine(URL, poolclass=sa.NullPool).connect()


def execute_on_server(*statements: str) -> None:
    """Run statements on the server, outside the database of the rounds."""
    server = sa.create_engine(
        URL.set(database="postgres"), poolclass=sa.NullPool, isolation_level="AUTOCOMMIT"
    )
    with server.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def make_start() -> None:
    """Make the state that every round starts from: the sample's own revisions, with rows."""
    DATABASE.upgrade(HEAD)
    with connect() as connection:
        numbers = [{"n": number} for number in range(ROWS)]
        connection.execute(
            sa.text("INSERT INTO authors (id, email, name) VALUES (:n, CAST(:n AS text), 'Me')"),
            numbers,
        )
        connection.execute(
            sa.text("INSERT INTO books VALUES (:n, :n, 'Notes', 'essay', NULL)"), numbers
        )
        connection.commit()
    if FILE:
        FILE.rename(START)
    else:
        execute_on_server(f'ALTER DATABASE "{URL.database}" RENAME TO "{START}"')


def start() -> None:
    """Go back to the start."""
    if FILE:
        for end in ("-journal", "-wal", "-shm"):
            Path(f"{FILE}{end}").unlink(missing_ok=True)
        shutil.copy(START, FILE)
    else:
        execute_on_server(
            f'DROP DATABASE IF EXISTS "{URL.database}" WITH (FORCE)',
            f'CREATE DATABASE "{URL.database}" TEMPLATE "{START}"',
        )


def look() -> Look:
    """Return the revision, the catalogue, the numbers of rows, and what a run must not leave."""
    with connect() as connection:
        wait_until_alone(connection)
        revision = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        found = (read_catalogue(connection), count_rows(connection), find_faults(connection))
    return (str(revision), *found)


def count_rows(connection: sa.Connection) -> dict[str, int]:
    """Return how many rows each table has, without those of the migrations themselves."""
    names = set(sa.inspect(connection).get_table_names())
    tables = [sa.table(name) for name in sorted(names - {*OWN_TABLES})]
    counts = {
        it.name: connection.scalar(sa.select(sa.func.count()).select_from(it)) or 0 for it in tables
    }
    connection.rollback()
    return counts


def wait_until_alone(connection: sa.Connection) -> None:
    """Wait until the server has noticed that a process was killed."""
    if FILE:
        return
    others = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    while connection.scalar(others):
        connection.rollback()
        time.sleep(0.01)


def history() -> list[str]:
    """Return the revisions that were run, in order."""
    with connect() as connection:
        return list(connection.scalars(sa.select(HISTORY.c.revision).order_by(HISTORY.c.id)))


class Run:
    """A process that migrates."""

    def __init__(self, log: Path, *, is_program: bool) -> None:
        """Start it."""
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        with log.open("wb") as output:
            if is_program:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", COMMANDS, "upgrade"],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
                self.pid = self.process.pid
                return
            self.pid = os.fork()
            if self.pid == 0:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                code = main(database, ["upgrade"], names=SCRIPTS)
                sys.stdout.flush()
                os._exit(code)

    def reported(self) -> int:
        """Return how many revisions it has reported as applied."""
        return sum(line.startswith("  ") for line in self.log.read_text().splitlines())

    def wait_until_reported(self, count: int) -> None:
        """Wait until it has applied that many revisions, or has ended."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while self.reported() < count and os.waitid(os.P_PID, self.pid, options) is None:
            time.sleep(0.001)

    def wait(self) -> int:
        """Wait for its end, and return its exit code; minus a signal, if that ended it."""
        if self.process:
            return self.process.wait()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def together(rounds: int, programs: int) -> Iterator[Found]:
    """Migrate in eight processes at once."""
    for number in range(rounds):
        start()
        runs = [Run(Path(f"{i}.log"), is_program=number < programs) for i in range(TOGETHER)]
        codes = [run.wait() for run in runs]
        revision, _, rows, faults = look()
        yield {
            "codes": codes,
            "said": [run.log.read_text() for run, code in zip(runs, codes, strict=True) if code],
            "revision": revision,
            "history": history(),
            "rows": [rows["authors"], rows["books"]],
            "faults": faults,
        }


def killed(rounds: int, programs: int) -> Iterator[Found]:
    """Kill a migration after each number of revisions, look, and migrate again.

    How long it goes on after that number is random: one killed after none may still be starting.
    At least two kills after different numbers of revisions hit a migration, whatever the rounds.
    """
    start()
    known = {HEAD: look()[1]}
    pending = [script.revision for script in DATABASE.status().pending]
    for revision in pending:
        DATABASE.upgrade(revision)
        known[revision] = look()[1]
    seconds = {is_program: time_whole_run(is_program=is_program) for is_program in (False, True)}
    hits: set[int] = set()
    for number in range(rounds * PATIENCE):
        if number >= rounds and len(hits) >= min(2, len(pending) - 1):
            return
        is_program = number < programs
        start()
        run = Run(Path("killed.log"), is_program=is_program)
        count = number % (len(pending) + 1)
        run.wait_until_reported(count)
        time.sleep(random.uniform(0, A_REVISION if count else seconds[is_program]))  # noqa: S311  # no secret
        os.kill(run.pid, signal.SIGKILL)
        code = run.wait()
        revision, catalogue, rows, _ = look()
        again = Run(Path("again.log"), is_program=is_program)
        code_again = again.wait()
        last, finished, rows_again, faults = look()
        hits |= {run.reported()} - {0, len(pending)}
        yield {
            "code": code,
            "reported": run.reported(),
            "revision": revision,
            "is whole": catalogue == known[revision],
            "rows": [rows["authors"], rows["books"]],
            "again": code_again,
            "said": again.log.read_text(),
            "finished": last == pending[-1] and finished == known[last],
            "history": history(),
            "rows again": [rows_again["authors"], rows_again["books"]],
            "faults": faults,
        }


def time_whole_run(*, is_program: bool) -> float:
    """Return how many seconds a run takes from its start to its end."""
    start()
    begun = time.monotonic()
    Run(Path("whole.log"), is_program=is_program).wait()
    return time.monotonic() - begun


if __name__ == "__main__":
    kind = {"together": together, "killed": killed}[sys.argv[1]]
    make_start()
    print(json.dumps(list(kind(int(sys.argv[2]), int(sys.argv[3])))))
