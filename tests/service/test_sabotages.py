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
    SABOTAGES,
    SYNC,
    Sabotage,
    added,
    module,
    replaced,
)

# By the kind of gate: a step of `make check`, or a file of tests. The gate of coverage, which takes
# the whole suite, has a test of its own in test_projects.py.
KINDS = {it.gate.partition("::")[0]: it for it in reversed(SABOTAGES) if it.project == SYNC}
SAMPLE = [sabotage for kind, sabotage in KINDS.items() if kind != "coverage"]


def name_of(sabotage: Sabotage) -> str:
    """Return the id of a test: all of one project go to one worker."""
    return f"sabotaged {sabotage.project}: {sabotage.name}"


@pytest.fixture(scope="session")
def gates_of(render: Render) -> Iterator[Callable[[str], Gates]]:
    """Return a function that gives the gates of a project.

    That all of them are green before, test_projects.py finds out for the daily run.
    """
    # Not in pytest's own temporary folder, which runs of pytest in the projects would clean up.
    with tempfile.TemporaryDirectory(prefix="services-", ignore_cleanup_errors=True) as temporary:

        @cache
        def gates_of(project: str) -> Gates:
            answers = dict(zip(ANSWERS, project.split("-"), strict=False))
            folder = render(answers, Path(temporary) / project)
            gates = Gates(Service(folder, answers["session_style"], answers["database"]))
            gates.prepare()
            return gates

        yield gates_of


@pytest.mark.parametrize("sabotage", SAMPLE, ids=name_of)
def test_a_sabotage_is_stopped_by_its_gate(
    gates_of: Callable[[str], Gates], sabotage: Sabotage
) -> None:
    assert "\n".join(gates_of(sabotage.project).judge(sabotage)) == ""


@pytest.mark.complete
@pytest.mark.parametrize("sabotage", SABOTAGES, ids=name_of)
def test_a_sabotage_is_stopped_by_its_gate_alone(
    gates_of: Callable[[str], Gates], sabotage: Sabotage
) -> None:
    assert "\n".join(gates_of(sabotage.project).judge(sabotage, alone=True)) == ""


def test_there_are_many_sabotages_of_many_gates() -> None:
    assert len({sabotage.name for sabotage in SABOTAGES}) == len(SABOTAGES) >= 40
    assert len(SAMPLE) >= 15


UNUSED = module("import json\n")
SAME = replaced(CANARY, "import sys\n", "import sys\n")


@pytest.mark.parametrize(
    ("sabotage", "fault"),
    [
        (Sabotage("nothing", "ruff check", (), ()), "nothing changes nothing"),
        (Sabotage("the same", "ruff check", (), SAME), "the same changes nothing"),
        (Sabotage("no text", "ruff check", (), replaced(CANARY, "?", "x")), "0 times, not once"),
        (Sabotage("twice", "ruff check", (), replaced(CANARY, "def ", "x")), "times, not once"),
        (Sabotage("a file", "ruff check", (), added(CANARY, "x")), "is there already"),
        (Sabotage("no gate", "bandit", (), UNUSED), "bandit names 0 steps"),
        (Sabotage("two gates", "ruff", (), UNUSED), "ruff names 2 steps"),
    ],
    ids=lambda value: name_of(value) if isinstance(value, Sabotage) else "",
)
def test_a_sabotage_that_cannot_be_done_is_an_error(
    gates_of: Callable[[str], Gates], sabotage: Sabotage, fault: str
) -> None:
    with pytest.raises(SabotageError, match=fault):
        gates_of(sabotage.project).judge(sabotage)


OTHER = "tests/unit/test_times.py"
MYPY = ".venv/bin/mypy"
STOPPED = Sabotage("verdicts", "mypy", ("as said",), UNUSED, also={OTHER: "a reason"})
RED = {MYPY: "as said", f"{OTHER}::test_naive_times_are_refused": ""}
VERDICTS: list[tuple[dict[str, str], list[str]]] = [
    (RED, []),
    (RED | {MYPY: "else"}, [f"{MYPY} does not say 'as said':\nelse"]),
    (RED | {"start": "early"}, ["another gate is red: start\nearly"]),
    ({MYPY: "as said"}, [f"the other gate is green: {OTHER}"]),
    ({OTHER: ""}, [f"the gate is green: {MYPY}"]),
]
GREEN = Sabotage("a green gate", "ruff format", ("x",), UNUSED)


@pytest.mark.parametrize("sabotage", [STOPPED], ids=name_of)
def test_a_sabotage_that_its_gate_does_not_stop_alone_is_a_fault(
    gates_of: Callable[[str], Gates], sabotage: Sabotage
) -> None:
    gates = gates_of(sabotage.project)

    found = [gates.find_faults(sabotage, red, alone=True) for red, _ in VERDICTS]

    assert found == [faults for _, faults in VERDICTS]


@pytest.mark.parametrize("sabotage", [GREEN], ids=name_of)
def test_a_gate_that_stays_green_is_a_fault_and_the_project_is_put_back(
    gates_of: Callable[[str], Gates], sabotage: Sabotage
) -> None:
    gates = gates_of(sabotage.project)
    before = gates.service.state()

    faults = gates.judge(sabotage)

    assert faults == ["the gate is green: .venv/bin/ruff format --check ."]
    assert gates.service.state() == before
