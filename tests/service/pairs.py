"""Few combinations of answers in which each pair of values of any two options occurs."""

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.running import run

Answers = dict[str, str]


def combine(
    choices: Mapping[str, Sequence[str]], begun: Iterable[Mapping[str, str]] = ()
) -> Iterator[Answers]:
    """Yield answers: of any two options, each pair of values is among them.

    Args:
        choices: The values of each option.
        begun: Answers that are to be among them, whatever is then chosen for the other options.

    """
    missing = {
        frozenset(pair): pair
        for one, other in itertools.combinations(choices, 2)
        for pair in itertools.product(
            [(one, value) for value in choices[one]], [(other, value) for value in choices[other]]
        )
    }
    waiting = [dict(answers) for answers in begun]
    uses: Counter[tuple[str, str]] = Counter()
    while waiting or missing:
        row = waiting.pop(0) if waiting else dict(next(iter(missing.values())))
        for name in [name for name in choices if name not in row]:
            new = {
                value: sum(frozenset({(name, value), it}) in missing for it in row.items())
                for value in choices[name]
            }
            # Of values that bring as many new pairs, the rarest one.
            row[name] = max(new, key=lambda it, new=new, name=name: (new[it], -uses[name, it]))  # type: ignore[misc]
        uses.update(row.items())
        for pair in itertools.combinations(row.items(), 2):
            missing.pop(frozenset(pair), None)
        yield {name: row[name] for name in choices}


@cache
def find_python(version: str) -> str | None:
    """Return the program of a Python that this machine has: on PATH, or from pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which(f"python{version}"), *pyenv.glob(f"versions/{version}.*/bin/python")]
    for program in [path for path in found if path is not None]:
        # A shim of pyenv is there for versions that are not switched on.
        if run(program, "--version", cwd=Path.cwd()).returncode == 0:
            return str(program)
    return None
