"""Rounds of migrations in real processes. Run in a rendered project, by the project's own Python.

    python migration_rounds.py together|killed ROUNDS SCRIPT_ROUNDS

DATABASE_URL names the database of the rounds. The first SCRIPT_ROUNDS start `scripts/migrate.sh`;
the others fork this process, which has everything imported, and run what the script runs. What
happened in each round is printed as JSON.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import sqlalchemy as sa
from my_service.db import migrate
from my_service.db.migrate import commands
from my_service.db.migrate.history import HISTORY
from my_service.db.migrate.state import faults
from my_service.settings import Settings

sys.path.insert(0, str(Path.cwd()))
from tests.migrations.catalogue import catalogue, row_counts

FIRST = "0001"
USERS = 200
TOGETHER = 8
A_REVISION = 0.02  # seconds that one takes, about
URL = Settings().url
IS_FILE = URL.get_backend_name() == "sqlite"
Look = tuple[str, list[tuple[str, str, str]], dict[str, int], list[str]]


def engine(url: sa.URL = URL) -> sa.Engine:
    """Return an engine that keeps no connection."""
    return sa.create_engine(url, poolclass=sa.NullPool)


def execute_on_server(*statements: str) -> None:
    """Run statements on the server, outside the database of the rounds."""
    server = engine(URL.set(database="postgres")).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def keep_start() -> None:
    """Make the state that every round starts from: the first revision, with rows."""
    if IS_FILE:
        Path(str(URL.database)).unlink(missing_ok=True)
    else:
        execute_on_server(
            f'DROP DATABASE IF EXISTS "{URL.database}" WITH (FORCE)',
            f'DROP DATABASE IF EXISTS "{URL.database}_start" WITH (FORCE)',
            f'CREATE DATABASE "{URL.database}"',
        )
    migrate.upgrade(FIRST)
    with engine().begin() as connection:
        for number in range(USERS):
            connection.execute(
                sa.text("INSERT INTO users (id, email, name) VALUES (:id, :email, 'Me')"),
                {"id": f"{number:032}", "email": f"{number}@example.com"},
            )
            connection.execute(
                sa.text(
                    "INSERT INTO contexts (id, user_id, name, data) VALUES (:id, :id, 'C', '{}')"
                ),
                {"id": f"{number:032}"},
            )
    if IS_FILE:
        shutil.copy(str(URL.database), f"{URL.database}.start")
    else:
        execute_on_server(f'ALTER DATABASE "{URL.database}" RENAME TO "{URL.database}_start"')


def start() -> None:
    """Go back to the start."""
    if IS_FILE:
        for end in ("-journal", "-wal", "-shm"):
            Path(f"{URL.database}{end}").unlink(missing_ok=True)
        shutil.copy(f"{URL.database}.start", str(URL.database))
    else:
        execute_on_server(
            f'DROP DATABASE IF EXISTS "{URL.database}" WITH (FORCE)',
            f'CREATE DATABASE "{URL.database}" TEMPLATE "{URL.database}_start"',
        )


def look() -> Look:
    """Return the revision, the catalogue, the rows, and what a run must not leave."""
    with engine().connect() as connection:
        wait_until_alone(connection)
        revision = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        found = (sorted(catalogue(connection)), row_counts(connection), faults(connection))
    return (str(revision), *found)


def wait_until_alone(connection: sa.Connection) -> None:
    """Wait until the server has noticed that a process was killed."""
    if IS_FILE:
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
    with engine().connect() as connection:
        query = sa.select(HISTORY.c.revision).order_by(HISTORY.c.id)
        return list(connection.scalars(query))


class Run:
    """One process that migrates."""

    def __init__(self, log: Path, *, script: bool) -> None:
        """Start it."""
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        with log.open("wb") as output:
            if script:
                self.process = subprocess.Popen(
                    ["scripts/migrate.sh"], stdout=output, stderr=subprocess.STDOUT
                )
                self.pid = self.process.pid
                return
            self.pid = os.fork()
            if self.pid == 0:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                code = commands.main(["upgrade"])
                sys.stdout.flush()
                os._exit(code)

    def reported(self) -> int:
        """Return how many revisions it has reported as run."""
        return sum(line.startswith("  ") for line in self.log.read_text().splitlines())

    def wait_until_reported(self, count: int) -> None:
        """Wait until it has run that many revisions, or has ended."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while self.reported() < count and os.waitid(os.P_PID, self.pid, options) is None:
            time.sleep(0.001)

    def wait(self) -> int:
        """Wait for its end, and return its exit code; minus a signal, if that ended it."""
        if self.process:
            return self.process.wait()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def together(rounds: int, scripts: int, logs: Path) -> list[dict[str, object]]:
    """Migrate in eight processes at once."""
    found = []
    for number in range(rounds):
        start()
        runs = [Run(logs / str(i), script=number < scripts) for i in range(TOGETHER)]
        codes = [run.wait() for run in runs]
        revision, _, rows, faulty = look()
        said = [run.log.read_text() for run, code in zip(runs, codes, strict=True) if code]
        found.append(
            {
                "codes": codes,
                "said": said,
                "revision": revision,
                "history": history(),
                "users": rows["users"],
                "contexts": rows["contexts"],
                "faults": faulty,
            }
        )
    return found


def killed(rounds: int, scripts: int, logs: Path) -> list[dict[str, object]]:
    """Kill a migration after each number of revisions, look, and migrate again.

    How long it goes on after that number is random: one killed after none may still be starting.
    """
    start()
    known = {FIRST: look()[1]}
    pending = migrate.status().pending
    for script in pending:
        migrate.upgrade(script.revision)
        known[script.revision] = look()[1]
    last = pending[-1].revision
    seconds = {}
    for is_script in (False, True):
        start()
        begun = time.monotonic()
        Run(logs / "whole", script=is_script).wait()
        seconds[is_script] = time.monotonic() - begun
    found = []
    for number in range(rounds):
        is_script = number < scripts
        start()
        run = Run(logs / "killed", script=is_script)
        count = number % (len(pending) + 1)
        run.wait_until_reported(count)
        time.sleep(random.uniform(0, A_REVISION if count else seconds[is_script]))  # noqa: S311  # no secret
        os.kill(run.pid, 9)
        code = run.wait()
        revision, tables, rows, _ = look()
        again = Run(logs / "again", script=is_script).wait()
        finished = look()
        found.append(
            {
                "code": code,
                "reported": run.reported(),
                "revision": revision,
                "is whole": tables == known[revision],
                "users": rows["users"],
                "again": again,
                "said": (logs / "again").read_text(),
                "finished": finished[0] == last and finished[1] == known[last],
                "history": history(),
                "users again": finished[2]["users"],
                "contexts again": finished[2]["contexts"],
                "faults": finished[3],
            }
        )
    return found


if __name__ == "__main__":
    kind, rounds, scripts = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    keep_start()
    folder = Path("logs")
    folder.mkdir(exist_ok=True)
    print(json.dumps({"together": together, "killed": killed}[kind](rounds, scripts, folder)))
