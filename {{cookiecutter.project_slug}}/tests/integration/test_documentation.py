"""The examples of TESTING.md run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_the_examples_of_the_testing_guide_pass(
    pytestconfig: pytest.Config,
    tmp_path: Path,
) -> None:
    guide = (pytestconfig.rootpath / "TESTING.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    runnable = [example for example in examples if "def test_" in example]
    for number, example in enumerate(runnable):
        (tmp_path / f"test_example_{number}.py").write_text(example)

    command = [sys.executable, "-m", "pytest", "--no-cov", "-c", "pytest.ini"]
    result = subprocess.run(
        [*command, "-p", "tests.conftest", str(tmp_path)],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout
    assert len(runnable) >= 4
