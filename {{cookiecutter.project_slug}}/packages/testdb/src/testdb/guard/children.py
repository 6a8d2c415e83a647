"""Makes processes that tests start guard themselves, and keep the variables: see `child.py`."""

import json
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..abandoned import held, is_abandoned
from . import child, state

NAME = "isolation_child"
# How another process imports this guard.
LIBRARY = {
    "module": __package__,
    "library": str(Path(__file__).parents[2]),
    "compiled": sys.pycache_prefix,
}


@contextmanager
def guard_children(names: Iterable[str]) -> Iterator[None]:
    """Meanwhile, no Python below this process starts without these variables or without guard."""
    packages = Path(sysconfig.get_path("purelib"))
    write(packages / f"{NAME}.py", Path(child.__file__).read_text())
    # Python runs such a line as it starts: https://docs.python.org/3/library/site.html
    write(packages / f"{NAME}.pth", f"import {NAME}; {NAME}.restore()\n")
    run = packages / Path(child.RUNS).name / child.look_up(os.getpid())[0]
    run.parent.mkdir(exist_ok=True)
    for other in run.parent.iterdir():
        # Of a run that was killed. One in another container is not seen, and holds its lock.
        process = other.name.partition(".")[0]  # of a file that is being written, too
        if not is_running(process) and is_abandoned(other):
            other.unlink(missing_ok=True)
    known = {
        "variables": {name: os.environ[name] for name in names if name in os.environ},
        "guard": state(),
        **LIBRARY,
    }
    scratch = write_scratch(run, json.dumps(known))
    with held(scratch):
        # Only now: another run would take it for abandoned.
        scratch.replace(run)
        try:
            yield
        finally:
            run.unlink(missing_ok=True)


def is_running(process: str) -> bool:
    """Tell whether there is a process, by its name of `child.ancestors`."""
    number = process.partition(" ")[0]
    return number.isdecimal() and child.look_up(int(number))[0] == process


def write(path: Path, text: str) -> None:
    """Write a file in one step, unless it is there: other processes may be reading it."""
    if not path.exists() or path.read_text() != text:
        write_scratch(path, text).replace(path)


def write_scratch(path: Path, text: str) -> Path:
    """Write a file beside the one that it is to become."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    scratch.write_text(text)
    return scratch
