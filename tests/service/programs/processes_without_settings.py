"""Tests that a service's author might write: each starts a process that lacks its settings.

`test_guarded_processes.py` puts this module into a service and runs it there.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = [sys.executable, "-m"]
PROGRAMS = {
    "alembic": [*PYTHON, "alembic", "downgrade", "base"],
    "script": ["scripts/migrate-down.sh", "--yes", "base"],
    "key": [*PYTHON, "my_service", "create-key", "--email", "you@example.com"],
    "seed": [*PYTHON, "scripts.seed", "minimal", "--append"],
}
SETTINGS = ("DATABASE_URL", "CLICKHOUSE_URL")
OTHERS = {name: value for name, value in os.environ.items() if name not in SETTINGS}
WITHOUT = [word for name in SETTINGS for word in ("-u", name)]

Start = Callable[[list[str]], object]
WAYS: dict[str, Start] = {
    "left out": lambda program: subprocess.run(program, cwd=ROOT, env=OTHERS, check=False),
    "empty": lambda program: subprocess.run(
        program, cwd=ROOT, env={**OTHERS, **dict.fromkeys(SETTINGS, "")}, check=False
    ),
    "env -u": lambda program: subprocess.run(["env", *WITHOUT, *program], cwd=ROOT, check=False),
    "env -i": lambda program: subprocess.run(["env", "-i", *program], cwd=ROOT, check=False),
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program(program: list[str]) -> None:
    WAYS["env -i"](program)


# What starts a process is the same to all programs; testdb's own tests know more ways.
@pytest.mark.parametrize("way", sorted({*WAYS} - {"env -i"}))
def test_a_way_to_start_one(way: str) -> None:
    WAYS[way](PROGRAMS["script"])


def test_a_program_after_the_variables_were_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)

    subprocess.run(PROGRAMS["script"], cwd=ROOT, check=False)


def test_a_server_would_use_no_real_database() -> None:
    show = "from my_service.main import serve; from my_service.settings import Settings;"
    show += "serve(); print([str(getattr(Settings(), it, '')) for it in ('url', 'clickhouse')])"

    program = [sys.executable, "-c", show]
    done = subprocess.run(program, env={}, check=True, capture_output=True, text=True)

    assert "127.0.0.1:1/" in done.stdout or "sqlite:////dev/fd/" in done.stdout
    assert "chdb" not in done.stdout
