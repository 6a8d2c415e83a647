"""Tells which files and folders are left of a process that has ended, however it ended.

Each process holds a lock on what it made, which the system frees. Neither ids of processes nor
clocks are asked: both come around again, and containers do not see each other's.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder. It stays with it under another name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_abandoned(path: Path) -> bool:
    """Tell whether no process holds the lock of a file or folder that is there."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        # Another process was faster, or it is another user's.
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


@contextmanager
def folder_of_process(place: Path, name: str) -> Iterator[Path]:
    """Make a folder whose name begins with `name`, and remove it and those of ended processes."""
    for other in place.glob(f"{name}-*"):
        if is_abandoned(other):
            shutil.rmtree(other, ignore_errors=True)
    made = Path(tempfile.mkdtemp(dir=place, prefix="new-"))
    with held(made):
        # Only now: under its name, it would be taken for abandoned.
        folder = made.rename(place / made.name.replace("new", name, 1))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
