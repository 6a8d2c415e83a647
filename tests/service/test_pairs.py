"""Every pair of answers makes a project that installs, checks and passes all its tests.

Each combination is installed in a fresh environment, on the lowest Python that it supports, as far
as this machine has it.
"""

import tempfile
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.running import succeeded
from tests.service.pairs import Answers, combine, find_python
from tests.service.project import Service
from tests.service.test_rendering import CHOICES

PYTHONS = {
    version: program for version in CHOICES["python_version"] if (program := find_python(version))
}
COMBINATIONS = [*combine(CHOICES | {"python_version": list(PYTHONS)})]


@pytest.mark.complete
@pytest.mark.parametrize("answers", COMBINATIONS, ids=lambda answers: "-".join(answers.values()))
def test_its_checks_and_its_whole_suite_pass(render: Render, answers: Answers) -> None:
    # Not in pytest's own temporary folder, which runs of pytest in the project would clean up.
    with tempfile.TemporaryDirectory(prefix="pairs-", ignore_cleanup_errors=True) as temporary:
        folder = render(answers, Path(temporary))
        service = Service(folder, answers["session_style"], answers["database"])

        service.bring_environment(f"PYTHON={PYTHONS[answers['python_version']]}")
        python = succeeded(service.run("python", "--version"))
        succeeded(service.make("check"))
        output = succeeded(service.make("test"))

    assert python.startswith(f"Python {answers['python_version']}.")
    assert "Total coverage: 100.00%" in output


def test_there_is_a_python_for_the_lowest_version() -> None:
    assert CHOICES["python_version"][0] in PYTHONS
