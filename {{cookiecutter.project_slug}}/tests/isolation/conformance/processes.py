"""Runs of pytest in processes of their own, for the tests that look at whole runs."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

# Where pytest.ini is.
ROOT = Path(__file__).parents[3]
PYTEST = [sys.executable, "-m", "pytest", "--no-cov", "-p", "no:randomly"]


def unmeasured(**variables: str) -> dict[str, str]:
    """Return the environment, with these variables, and without those that measure coverage.

    Measuring takes half as long again as such a run itself, which has little of the service in it.
    """
    inherited = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    return inherited | variables


def run_pytest(*options: str, **variables: str) -> str:
    """Run pytest, and return what it printed."""
    done = subprocess.run(
        [*PYTEST, *options],
        cwd=ROOT,
        env=unmeasured(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def start_pytest(*options: str, **variables: str) -> subprocess.Popen[bytes]:
    """Start pytest in a process group of its own, so that its workers can be killed with it."""
    return subprocess.Popen(
        [*PYTEST, *options],
        cwd=ROOT,
        env=unmeasured(**variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait up to half a minute."""
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail("waited in vain")
