"""The gates of a rendered project bite: each sabotage is stopped by its gate, and by no other.

Daily, one sabotage of each kind of gate is done, and only its gate runs. The complete run does all
of them, and runs all gates each time.
"""

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.service.conftest import ANSWERS
from tests.service.gates import Gates, SabotageError
from tests.service.project import Service
from tests.service.sabotages import (
    CANARY,
    MODULE,
    SABOTAGES,
    SYNC,
    Change,
    Sabotage,
    added,
    module,
    replaced,
)

# By the kind of gate: a step of `make check`, or a file of tests. The gate of coverage, which takes
# the whole suite, has a test of its own in test_projects.py.
KINDS = {it.gate.partition("::")[0]: it for it in reversed(SABOTAGES) if it.project == SYNC}
SAMPLE = [sabotage for kind, sabotage in KINDS.items() if kind != "coverage"]


def each(sabotages: list[Sabotage] | tuple[Sabotage, ...]) -> pytest.MarkDecorator:
    """Run a test with these sabotages; all of one project go to one worker."""
    ids = [f"sabotaged {sabotage.project}: {sabotage.name}" for sabotage in sabotages]
    return pytest.mark.parametrize("sabotage", sabotages, ids=ids)


@pytest.fixture(scope="session")
def gates_of(render: Render) -> Iterator[Callable[[str], Gates]]:
    """Return a function that gives the gates of a project, which are all green before."""
    # Not in pytest's own temporary folder, which runs of pytest in the projects would clean up.
    with tempfile.TemporaryDirectory(prefix="services-", ignore_cleanup_errors=True) as temporary:

        @cache
        def gates_of(project: str) -> Gates:
            answers = dict(zip(ANSWERS, project.split("-"), strict=False))
            folder = render(answers, Path(temporary) / project)
            gates = Gates(Service(folder, answers["session_style"], answers["database"]))
            gates.prepare()
            assert gates.all_red() == {}
            return gates

        yield gates_of


@each(SAMPLE)
def test_a_sabotage_is_stopped_by_its_gate(
    gates_of: Callable[[str], Gates], sabotage: Sabotage
) -> None:
    assert "\n".join(gates_of(sabotage.project).judge(sabotage)) == ""


@pytest.mark.complete
@each(SABOTAGES)
def test_a_sabotage_is_stopped_by_its_gate_alone(
    gates_of: Callable[[str], Gates], sabotage: Sabotage
) -> None:
    assert "\n".join(gates_of(sabotage.project).judge(sabotage, alone=True)) == ""


def test_there_are_many_sabotages_of_many_gates() -> None:
    assert len({sabotage.name for sabotage in SABOTAGES}) == len(SABOTAGES) >= 40
    assert len(SAMPLE) >= 15


UNUSED = module("import json\n")


@pytest.mark.parametrize(
    ("gate", "words", "changes", "fault"),
    [
        ("ruff check", (), (), "nothing is changed"),
        ("ruff check", (), replaced(CANARY, "def", "def"), "times, not once"),
        ("ruff check", (), replaced(CANARY, "no such text", "x"), "0 times, not once"),
        ("ruff check", (), replaced(CANARY, "import sys\n", "import sys\n"), "nothing is changed"),
        ("ruff check", (), added(CANARY, "x"), "is there already"),
        ("ruff check", (), (Change(MODULE, "", None),), "No such file"),
        ("bandit", (), UNUSED, "names 0 steps"),
        ("ruff", (), UNUSED, "names 2 steps"),
    ],
)
def test_a_sabotage_that_cannot_be_done_is_a_fault(
    gates: Gates,
    gate: str,
    words: tuple[str, ...],
    changes: tuple[Change, ...],
    fault: str,
) -> None:
    with pytest.raises((SabotageError, FileNotFoundError), match=fault):
        gates.judge(Sabotage("x", gate, words, changes))
