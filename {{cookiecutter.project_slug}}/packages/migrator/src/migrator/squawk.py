"""Runs squawk, which finds in SQL what blocks a busy PostgreSQL."""

import shutil
import subprocess
import sys
from pathlib import Path


def run_squawk(sql: str, root: Path, *options: str) -> subprocess.CompletedProcess[str] | None:
    """Let squawk read SQL; None if it is not installed, beside this Python or on PATH."""
    beside = Path(sys.executable).with_name("squawk")
    program = str(beside) if beside.exists() else shutil.which("squawk")
    if program is None:
        return None
    return subprocess.run(
        [program, *options], cwd=root, input=sql, capture_output=True, text=True, check=False
    )
