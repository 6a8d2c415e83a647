"""Runs of pytest in processes of their own, for the tests that look at whole runs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

# Where pytest.ini is.
ROOT = Path(__file__).parents[1]
PYTEST = [sys.executable, "-m", "pytest", "-p", "testdb.plugin", "-p", "no:randomly"]

# Seconds. Nothing takes as long, not even on a busy machine.
LIMIT = 300


def run_pytest(*options: str, **variables: str) -> str:
    """Run pytest, and return what it printed."""
    done = subprocess.run(
        [*PYTEST, *options],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    return done.stdout + done.stderr


@contextmanager
def running_pytest(*options: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run pytest in a process group of its own, which is killed at the end with its workers."""
    with subprocess.Popen(
        [*PYTEST, *options],
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as run:
        try:
            yield run
        finally:
            kill(run)


def kill(run: subprocess.Popen[str]) -> None:
    """Kill a run with its workers."""
    # Nothing is left of a run that has ended.
    with suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)


def wait_for(condition: Callable[[], bool], run: subprocess.Popen[str] | None = None) -> None:
    """Wait for something that another process does; if it is `run`, only while that lasts."""
    end = time.monotonic() + LIMIT
    while not condition():
        if run is not None and run.poll() is not None:
            # Its workers may be left, and would keep the output open.
            kill(run)
            pytest.fail(run.communicate()[0], pytrace=False)
        if time.monotonic() > end:
            pytest.fail(f"this did not happen in {LIMIT} s")
        time.sleep(0.05)
