"""Makes processes that tests start guard themselves, and keep the variables: see `child.py`."""

import json
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
    known = {
        "variables": {name: os.environ[name] for name in names if name in os.environ},
        "guard": state(),
        **LIBRARY,
    }
    write(run, json.dumps(known))
    try:
        yield
    finally:
        run.unlink()


def write(path: Path, text: str) -> None:
    """Write a file in one step, unless it is there: other processes may be reading it."""
    if not path.exists() or path.read_text() != text:
        scratch = path.with_name(f"{path.name}.{os.getpid()}")
        scratch.write_text(text)
        scratch.replace(path)
