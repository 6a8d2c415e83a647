"""Relays that are killed at random moments lose no event and double none."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Render, Run

ROUNDS = Path(__file__).with_name("relay_rounds.py")
KILLS = 10
SEED = 20


@pytest.fixture(params=[("sync", "sqlite"), ("async", "postgresql")], ids="-".join)
def project(request: pytest.FixtureRequest, render: Render, run: Run) -> Iterator[Path]:
    """Give an installed project whose databases are migrated."""
    style, database = request.param
    answers = {"session_style": style, "database": database, "analytics": "clickhouse"}
    # PostgreSQL does not run as root: its own user has to get into the folder.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = render(answers, Path(name))
        commands = [["make", "env"], ["scripts/migrate.sh"]]
        if database == "postgresql":
            commands.insert(1, ["make", "database"])
        for command in commands:
            done = run(*command, cwd=folder)
            assert done.returncode == 0, done.stdout + done.stderr
        yield folder
        if database == "postgresql":
            run("make", "database-stop", cwd=folder)


def test_killed_relays_lose_nothing_and_double_nothing(project: Path, run: Run) -> None:
    python = project / ".venv" / "bin" / "python"

    done = run(python, ROUNDS, str(KILLS), str(SEED), cwd=project)

    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found["left"]) == KILLS
    # Most were killed in the middle of their work.
    assert sum(left > 0 for left in found["left"]) > KILLS / 2, found["left"]
    assert found["written"] == found["stored"]
    assert (found["waiting"], found["lost"], found["doubled"]) == (0, 0, 0)
    assert found["metrics"]
