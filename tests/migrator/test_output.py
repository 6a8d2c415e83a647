"""Output that nobody reads, or that cannot be written, changes nothing about a migration."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from migrator import Exit

from tests.migrator.project import COMMANDS, HEAD, Project

FULL = Path("/dev/full")
PRINTS = "print('a revision may print, too', flush=True)"


@contextmanager
def closed_pipe() -> Iterator[int]:
    """Yield the end of a pipe that nothing reads."""
    read, write = os.pipe()
    os.close(read)
    try:
        yield write
    finally:
        os.close(write)


@contextmanager
def full_disk() -> Iterator[int]:
    """Yield a file on a disk without room."""
    with FULL.open("w") as file:
        yield file.fileno()


def run(project: Project, *words: str, stdout: int, **variables: str) -> tuple[int, str]:
    """Run a command with a stdout, and return its exit code and what it says on stderr."""
    with project.start(
        COMMANDS, *words, stdout=stdout, stderr=subprocess.PIPE, **variables
    ) as process:
        _, said = process.communicate()
    return process.returncode, said


def test_a_reader_that_has_gone_stops_no_revision(project: Project) -> None:
    project.write("talks", PRINTS)

    with closed_pipe() as pipe:
        code, said = run(project, "upgrade", stdout=pipe)

    assert (code, said) == (Exit.DONE, "")
    assert project.database.status().revision == "talks"


def test_a_disk_without_room_for_the_output_stops_no_revision(sqlite_project: Project) -> None:
    sqlite_project.write("talks", PRINTS)

    with full_disk() as file:
        code, said = run(sqlite_project, "upgrade", stdout=file)

    assert code == Exit.DONE
    assert said == "The output could not be written: [Errno 28] No space left on device.\n"
    assert sqlite_project.database.status().revision == "talks"


@pytest.mark.parametrize("words", [["status"], ["upgrade", "--plan"]])
def test_output_that_is_lost_is_a_failure_where_it_is_everything(
    sqlite_project: Project, words: list[str]
) -> None:
    with full_disk() as file, closed_pipe() as pipe:
        lost, said = run(sqlite_project, *words, stdout=file)
        unread, silent = run(sqlite_project, *words, stdout=pipe)

    assert (lost, unread) == (Exit.FAILED, Exit.DONE)
    assert said == "The output could not be written: [Errno 28] No space left on device.\n"
    assert silent == ""


def test_a_terminal_that_lacks_a_letter_shows_its_code(sqlite_project: Project) -> None:
    path = sqlite_project.write("letters", "print('für')")
    path.write_text(path.read_text().replace('"""letters"""', '"""Añadir"""'))

    process = sqlite_project.start(COMMANDS, "upgrade", PYTHONIOENCODING="ascii")
    printed, _ = process.communicate()

    assert process.returncode == Exit.DONE, printed
    assert "  letters  A\\xf1adir  (" in printed
    assert "f\\xfcr\n" in printed


def test_a_stdout_that_is_closed_stops_no_revision(sqlite_project: Project) -> None:
    closing = ("sh", "-c", 'exec "$@" >&-', "sh")

    process = sqlite_project.start(COMMANDS, "upgrade", prefix=closing)
    printed, _ = process.communicate()

    assert (process.returncode, printed) == (Exit.DONE, "")
    assert sqlite_project.database.status().revision == HEAD
