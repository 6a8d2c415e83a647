"""One command on one database: how it was called, how it ends, and how it reports."""

import argparse
import sys
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.script import Script

    from migrator.database import Database


class Exit(IntEnum):
    """How a command ended. Automation relies on these numbers."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    LOCKED = 3
    REFUSED = 4
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


@dataclass(frozen=True)
class Names:
    """How messages name the commands and settings, so that a reader can act on them."""

    upgrade: str = "migrate upgrade"
    downgrade: str = "migrate downgrade"
    status: str = "migrate status"
    new: str = "migrate new"
    lint: str = "migrate lint"
    wait_seconds: str = "MIGRATION_WAIT_SECONDS"
    lock_timeout_ms: str = "MIGRATION_LOCK_TIMEOUT_MS"
    # The command that starts the server of the first database in development, if there is one.
    start_server: str = ""


@dataclass(frozen=True)
class Call:
    """One command on one database."""

    target: "Database"
    # A downgrade replaces a number of steps by the revision that it means.
    arguments: argparse.Namespace
    names: Names
    option: str = ""  # selects this database, such as `--analytics`; empty for the first

    def command(self, name: str, *words: str) -> str:
        """Return a command on this database, for messages."""
        return " ".join(filter(None, (name, self.option, *words)))


def show_step(script: "Script", seconds: float) -> None:
    """Print a line for a revision that ran."""
    print(f"  {script.revision}  {title(script)}  ({seconds:.2f} s)", flush=True)


def title(script: "Script") -> str:
    """Return the first line of a revision's docstring."""
    return str(script.doc).rstrip(".")


def fail(code: Exit, *lines: str) -> Exit:
    """Print what went wrong to stderr and return the exit code."""
    print(*lines, sep="\n", file=sys.stderr)
    return code
