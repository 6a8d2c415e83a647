"""An update that is interrupted leaves nothing behind."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.running import LIMIT, clean_environment, wait_until
from tests.updates.conftest import AUTHOR, WAIT, Updated, commit, is_alive


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_while_a_version_is_rendered(
    project: Updated, tmp_path: Path, number: signal.Signals
) -> None:
    commit(project.template, {"hooks/post_gen_project.py": WAIT})
    before, reached = project.state(), tmp_path / "reached"
    environment = {**clean_environment(), **AUTHOR, "TMPDIR": str(project.scratch)}
    process = subprocess.Popen(
        [*project.arguments, "--apply", project.folder],
        cwd=project.template,
        env={**environment, "REACHED": str(reached)},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: reached.exists() and reached.read_text() != "", process)

    process.send_signal(number)
    _, stderr = process.communicate(timeout=LIMIT)
    killed = number == signal.SIGKILL
    if killed:
        os.kill(int(reached.read_text()), number)

    assert process.returncode == (-number if killed else 128 + number)
    assert "Traceback" not in stderr
    assert project.state() == before
    if not killed:
        assert list(project.scratch.iterdir()) == []
        wait_until(lambda: not is_alive(int(reached.read_text())))
