"""Programs that an update runs, which end with it if it is interrupted, and all that they start."""

import os
import signal
import subprocess
from pathlib import Path

Command = list[str | Path]


def run(
    command: Command, *, folder: Path, environment: dict[str, str], given: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, and return what it printed."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A group of its own: Control-C is for this program alone, which ends the whole group.
        start_new_session=True,
    )
    with process:
        try:
            stdout, stderr = process.communicate(given)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)
