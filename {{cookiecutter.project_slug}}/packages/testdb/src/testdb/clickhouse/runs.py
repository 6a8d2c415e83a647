"""Finds out which test runs are in progress, so that only the data of finished ones is removed.

Each process of a run holds a lock on the run's file. The system frees it when the process ends,
however it ends. Neither ids of processes nor clocks are asked: both come around again.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock

from ..signature import memory_folder


def place() -> Path:
    """Return this user's folder for locks and data, in memory where the system has that."""
    folder = memory_folder() / f"test-clickhouse-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def name_of_place() -> str:
    """Return what the folder is called on a server that others use: they cannot see its locks."""
    file = place() / "name"
    with FileLock(file.with_suffix(".lock")):
        if not file.exists():
            file.write_text(uuid4().hex)
    return file.read_text()


def runs() -> list[str]:
    """Return the ids of the runs that have a file here, or a folder: a killed worker leaves one."""
    folders = {path.name.rpartition("-")[0] for path in place().iterdir() if path.is_dir()}
    return sorted({path.stem for path in place().glob("*.run")} | folders)


@contextmanager
def alive(run: str) -> Iterator[None]:
    """Hold the lock of a run, together with the run's other processes."""
    file = lock(run, fcntl.LOCK_SH)
    assert file is not None
    try:
        yield
    finally:
        os.close(file)
        # The last one out.
        with over(run):
            pass


@contextmanager
def over(run: str) -> Iterator[bool]:
    """Tell whether no process of a run lives. None can begin before the block ends."""
    file = lock(run, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield file is not None
    finally:
        if file is not None:
            file_of(run).unlink()
            os.close(file)


def lock(run: str, kind: int) -> int | None:
    """Return the run's file, open and locked; None if others hold it and there is no waiting."""
    path = file_of(run)
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, kind)
        except BlockingIOError:
            os.close(file)
            return None
        if os.fstat(file).st_nlink:
            return file
        # Another process removed it while this one waited.
        os.close(file)


def file_of(run: str) -> Path:
    """Return the file of a run."""
    return place() / f"{run}.run"
