"""Ctrl-C and the like: the run ends at once, and says where the database is."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from migrator import Exit
from migrator.signals import interruptible

from tests.migrator.project import COMMANDS, HEAD, Project
from tests.migrator.test_adoption import forget
from tests.migrator.test_runs import hold_lock
from tests.running import LIMIT, wait_until

SIGNALS = [
    (signal.SIGINT, 130, "Ctrl-C"),
    (signal.SIGTERM, 143, "SIGTERM"),
    (signal.SIGHUP, 129, "SIGHUP"),
]
FOREVER = {
    "sqlite": (
        "CREATE TABLE no AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
        " SELECT sum(x) FROM n"
    ),
    "postgresql": "CREATE TABLE no AS SELECT 1 FROM (SELECT pg_sleep(3600)) AS forever",
}
TOUCH = "__import__('pathlib').Path({begun!r}).touch()"
WATCH_SLEEP = """
import pathlib, time
def sleep(seconds, really=time.sleep):
    pathlib.Path({begun!r}).touch()
    really(seconds)
time.sleep = sleep
"""


@contextmanager
def started(project: Project, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command, and make sure that it ends."""
    with project.start(COMMANDS, *words) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "code", "name"), SIGNALS)
def test_a_signal_ends_a_statement_that_takes_long(
    project: Project, tmp_path: Path, number: signal.Signals, code: int, name: str
) -> None:
    begun = tmp_path / "begun"
    before = project.upgraded().catalogue()
    touch = TOUCH.format(begun=str(begun))
    project.write("slow", f"{touch}\nop.execute({FOREVER[project.dialect]!r})")

    with started(project, "upgrade") as process:
        wait_until(begun.exists, process)
        process.send_signal(number)
        printed, _ = process.communicate(timeout=LIMIT)

    assert process.returncode == code
    assert printed == (
        f"Interrupted by {name}.\nThe database is at {HEAD}, 1 pending; no revision is partially"
        " applied. Next: run the same command again.\n"
    )
    assert project.catalogue() == before


@pytest.mark.parametrize(("number", "code", "name"), SIGNALS)
def test_a_signal_ends_a_wait_for_a_lock(
    project: Project, tmp_path: Path, number: signal.Signals, code: int, name: str
) -> None:
    begun = tmp_path / "begun"
    path = project.upgraded().write("nick", 'op.add_column("authors", sa.Column("nick", sa.Text))')
    # It is read before the run waits. On SQLite, a run sleeps between two looks at the lock.
    path.write_text(f"{path.read_text()}\n{WATCH_SLEEP.format(begun=str(begun))}\n")
    project = project.having(wait_seconds=LIMIT)

    with project.connect() as other:
        hold_lock(other)
        with started(project, "upgrade") as process:
            wait_until(lambda: begun.exists() or has_waiter(other), process)
            process.send_signal(number)
            printed, _ = process.communicate(timeout=LIMIT)

    assert process.returncode == code
    assert f"Interrupted by {name}.\nThe database is at {HEAD}, 1 pending" in printed
    assert "Traceback" not in printed


def test_an_interrupted_downgrade_says_how_to_continue(
    sqlite_project: Project, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    touch = TOUCH.format(begun=str(begun))
    sqlite_project.write("slow", "pass", f"{touch}\nop.execute({FOREVER['sqlite']!r})")
    sqlite_project.upgraded()

    with started(sqlite_project, "downgrade", "--yes") as process:
        # It looks for what it deletes, on a scratch database.
        wait_until(begun.exists, process)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=LIMIT)

    assert process.returncode == Exit.INTERRUPTED
    assert printed.endswith(
        "The database is at slow; no revision is partially applied."
        f" Next: run scripts/migrate-down.sh --yes {HEAD}.\n"
    )


def test_an_interrupted_adoption_records_nothing(sqlite_project: Project, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    forget(sqlite_project.upgraded())
    touch = TOUCH.format(begun=str(begun))
    sqlite_project.write("slow", f"{touch}\nop.execute({FOREVER['sqlite']!r})")

    with started(sqlite_project, "upgrade", "--adopt") as process:
        wait_until(begun.exists, process)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=LIMIT)

    assert process.returncode == Exit.INTERRUPTED, printed
    assert sqlite_project.database.status().revisions == ()


def test_a_signal_that_the_caller_ignores_stays_ignored(
    sqlite_project: Project, tmp_path: Path
) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)"
    sqlite_project.write("slow", f"{TOUCH.format(begun=str(begun))}\n{wait}")
    ignoring = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")

    with sqlite_project.start(COMMANDS, "upgrade", prefix=ignoring) as process:
        wait_until(begun.exists, process)
        process.send_signal(signal.SIGINT)
        go.touch()
        printed, _ = process.communicate(timeout=LIMIT)

    assert process.returncode == Exit.DONE, printed


def has_waiter(holder: sa.Connection) -> bool:
    """Return whether another session waits for a lock of this one. SQLite does not tell."""
    if holder.dialect.name == "sqlite":
        return False
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'authors'::regclass"
    return bool(holder.exec_driver_sql(query).scalar())


def test_a_signal_while_python_collects_garbage_is_not_lost() -> None:
    class Noisy:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def drop_and_wait() -> None:
        Noisy()
        signal.pause()

    with interruptible() as received, pytest.raises(KeyboardInterrupt):
        drop_and_wait()

    assert received == [signal.SIGTERM]
