"""Where the server of a project keeps its data, and what is left of projects that are gone.

The data stay in memory until the machine restarts, so that the next run starts at once and finds
its templates. Each folder names its project, whose end is noticed by the runs of others.
"""

import errno
import hashlib
import os
import shutil
from pathlib import Path

from ..signature import memory_folder

PREFIX = "test-postgresql-"
# In a folder of data: the user's number and the project's path.
NOTE = "project"


def data_folder(project: Path, major: int) -> Path:
    """Return the folder for a project's data of a version of PostgreSQL. It need not exist."""
    name = hashlib.sha256(f"{os.getuid()} {project} {major}".encode()).hexdigest()[:16]
    return memory_folder() / f"{PREFIX}{name}"


def lock_file(data: Path) -> Path:
    """Return the file whose lock makes processes take turns in starting and stopping a server."""
    return data.with_suffix(".lock")


def remember(data: Path, project: Path) -> None:
    """Note whose data a folder holds. As root, they belong to another user."""
    note = data / NOTE
    if not note.exists():
        note.write_text(f"{os.getuid()} {project}")


def remove_forgotten() -> None:
    """Remove the data of this user's projects that are no longer there, unless a server runs."""
    # Here: tests on SQLite have no use for it.
    from filelock import FileLock, Timeout

    for note in memory_folder().glob(f"{PREFIX}*/{NOTE}"):
        data = note.parent
        try:
            user, _, project = note.read_text().partition(" ")
            if user != str(os.getuid()) or Path(project).exists():
                continue
            with FileLock(lock_file(data), timeout=0):
                if not is_running(data):
                    shutil.rmtree(data)
                    lock_file(data).unlink()
        except (FileNotFoundError, Timeout):
            # Another run has removed it, or is about to.
            continue


def is_running(data: Path) -> bool:
    """Return whether a server runs on the data, without its programs, which may be gone as well."""
    file = data / "postmaster.pid"
    if not file.exists():
        return False
    try:
        os.kill(int(file.read_text().split()[0]), 0)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True
