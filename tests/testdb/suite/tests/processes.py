"""Runs of pytest in processes of their own, for the tests that look at whole runs."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
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


def start_pytest(*options: str, **variables: str) -> subprocess.Popen[bytes]:
    """Start pytest in a process group of its own, so that its workers can be killed with it."""
    return subprocess.Popen(
        [*PYTEST, *options],
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"this did not happen in {LIMIT} s")
        time.sleep(0.05)
