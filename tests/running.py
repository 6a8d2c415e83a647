"""Runs programs as a user would, and waits for what they do."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

TEMPLATE = Path(__file__).parent.parent
# Where the programs of the template's environment are.
BIN = Path(sys.executable).parent
# As in the Makefile.
UV = shutil.which("uv") or str(TEMPLATE / ".uv" / "bin" / "uv")

# Seconds. Nothing takes as long, not even on a busy machine: whatever does will never end.
LIMIT = 900

# What this run of pytest, or the make above it, tells its own children only.
PRIVATE = ("ARGS", "COV_", "COVERAGE_", "MAKE", "MFLAGS", "PYTEST_", "PYTHON", "VIRTUAL_ENV")
# What would configure a rendered service.
SETTINGS = ("CLICKHOUSE_", "DATABASE_", "ENVIRONMENT", "LOG_", "MIGRATION_", "SERVE_", "TEST_")

Result = subprocess.CompletedProcess[str]
Run = Callable[..., Result]


def clean_environment() -> dict[str, str]:
    """Return the variables that a user's shell would have."""
    hidden = PRIVATE + SETTINGS
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


def run(*command: str | Path, cwd: Path, text: str | None = None, **variables: str) -> Result:
    """Run a program to its end and capture what it prints.

    Raises:
        subprocess.TimeoutExpired: It does not end.

    """
    return subprocess.run(
        command,
        cwd=cwd,
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        env={**clean_environment(), "PWD": str(cwd), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )


def succeeded(result: Result) -> str:
    """Return what a program printed, after checking that it ended well."""
    assert result.returncode == 0, f"{result.args}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for an event, as long as the process that brings it about is alive."""
    end = time.monotonic() + LIMIT
    while not happened():
        assert process is None or process.poll() is None, f"{process.args!r} ended before"
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)
