"""Guards a Python process that a test started, and gives it the variables that tests replaced.

Without DATABASE_URL it would find the development database in a settings file. Python runs this as
it starts: `children.py` puts a copy where Python looks. A process that lost its environment has
lost every mark in it as well, so its ancestors tell whether it belongs to a run of the tests.

It stands alone, and imports only what is there already: every Python of the environment waits for
it.
"""

# pathlib takes longer to import than Python to start.
# ruff: noqa: PTH112, PTH118, PTH120, PTH123, PTH208

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Where Linux describes its processes. macOS has no such folder.
PROCESSES = "/proc"

# A file for each run of the tests, named as `ancestors` names its process. It holds the variables,
# what is protected, and the folder that testdb is imported from.
RUNS = os.path.join(os.path.dirname(__file__), "isolation_runs")


def restore() -> None:
    """Set the variables of all runs that this process descends from, and guard what they do."""
    runs = os.listdir(RUNS) if os.path.isdir(RUNS) else []
    for process in ancestors(os.getppid()) if runs else ():
        if process in runs:
            import json

            with open(os.path.join(RUNS, process)) as file:
                run = json.load(file)
            set_missing(run["variables"])
            guard(run)


def guard(run: "dict[str, Any]") -> None:
    """Refuse what the run refuses. Its library need not be on the path, nor stays there."""
    from importlib import import_module

    # Nothing that Python compiles lies beside the library, if the run does not want it there.
    sys.pycache_prefix = sys.pycache_prefix or run["compiled"]
    sys.path.insert(0, run["library"])
    try:
        import_module(run["module"]).restore(run["guard"])
    finally:
        sys.path.remove(run["library"])


def ancestors(pid: int) -> list[str]:
    """Return a process and those above it, each named by its id and its start: ids are reused."""
    found = []
    while pid > 0:
        process, pid = look_up(pid)
        found.append(process)
    return found


def look_up(pid: int) -> tuple[str, int]:
    """Return a process's name and the id of its parent, which is 0 if the process has ended."""
    try:
        with open(f"{PROCESSES}/{pid}/stat", errors="replace") as file:
            # The second field, in parentheses, can hold anything. See proc_pid_stat(5).
            fields = file.read().rpartition(")")[2].split()
        parent, start = fields[1], fields[19]
    except OSError:
        command = f"LC_ALL=C TZ=UTC ps -o ppid=,lstart= -p {pid}"
        with os.popen(command) as output:  # noqa: S605
            parent, _, start = output.read().strip().partition(" ")
    return f"{pid} {start.strip()}", int(parent or 0)


def set_missing(variables: dict[str, str]) -> None:
    """Set variables that are missing or empty, and say so. Settings take names in any case."""
    given = {name.upper() for name, value in os.environ.items() if value}
    missing = {name: value for name, value in variables.items() if name.upper() not in given}
    if missing:
        os.environ.update(missing)
        print(
            f"A test started this process without {', '.join(missing)}. It has the tests' own value"
            " now, because a settings file could name a real database. To choose the value, start"
            " it with os.environ and that value in `env`.",
            file=sys.stderr,
        )
