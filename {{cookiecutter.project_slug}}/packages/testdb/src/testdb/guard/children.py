"""Makes processes that tests start keep the variables that tests replaced: see `child.py`."""

import os
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import child

NAME = "isolation_child"


@contextmanager
def keep_variables(names: Iterable[str]) -> Iterator[None]:
    """Meanwhile, no Python below this process starts without these variables."""
    packages = Path(sysconfig.get_path("purelib"))
    write(packages / f"{NAME}.py", Path(child.__file__).read_text())
    # Python runs such a line as it starts: https://docs.python.org/3/library/site.html
    write(packages / f"{NAME}.pth", f"import {NAME}; {NAME}.restore()\n")
    run = packages / Path(child.RUNS).name / child.look_up(os.getpid())[0]
    run.parent.mkdir(exist_ok=True)
    write(run, "\0".join(f"{name}={os.environ[name]}" for name in names if name in os.environ))
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
