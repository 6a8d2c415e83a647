"""Where the server of a project keeps its data, and what is left of projects that are gone.

The data stay in memory until the machine restarts, so that the next run starts at once and finds
its templates. Each folder names its project, whose end is noticed by the runs of others.
"""

import hashlib
import logging
import os
import shutil
import socket
from pathlib import Path

from ..signature import memory_folder
from .embedded import SOCKET, socket_folder

log = logging.getLogger(__name__)

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
        note.write_bytes(os.fsencode(f"{os.getuid()} {project}"))


def remove_forgotten() -> None:
    """Remove the data of this user's projects that are no longer there, unless a server runs."""
    # Here: tests on SQLite have no use for it.
    from filelock import FileLock, Timeout

    for note in memory_folder().glob(f"{PREFIX}*/{NOTE}"):
        data = note.parent
        try:
            if is_forgotten(note):
                with FileLock(lock_file(data), timeout=0):
                    if is_forgotten(note) and not is_running(data):
                        # At once, so that no part of it is taken for a server's data.
                        shutil.rmtree(data.rename(data.with_suffix(".gone")))
        except (FileNotFoundError, Timeout):
            # Another run has removed it, or is about to.
            continue
        except (OSError, ValueError) as error:
            log.warning("%s is left from another project, and stays: %s", data, error)


def is_forgotten(note: Path) -> bool:
    """Tell whether a folder of data is this user's, and its project is gone."""
    user, _, project = note.read_bytes().partition(b" ")
    if user != str(os.getuid()).encode():
        return False
    try:
        # Not `exists`, for which a project that cannot be reached may be none.
        Path(os.fsdecode(project)).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    return False


def is_running(data: Path) -> bool:
    """Return whether a server answers, also one of another container with the same memory."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(socket_folder(data) / SOCKET)) == 0
