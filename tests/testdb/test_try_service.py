"""`make try-service` on services of several shapes, with the environment of these tests."""

import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from sqlalchemy import make_url

from tests.running import TEMPLATE
from tests.testdb.conftest import RunPython
from tests.testdb.test_services import SERVICES, SHAPES

BRANCH = 'connection = context.config.attributes.get("connection")'
# What is found, and a line of what is proposed.
FOUND = {
    "shop": [
        "migrations/env.py: synchronous",
        "sqlite, synchronous",
        "a dependency of FastAPI",
        "env.py was changed in the copy",
        'real = replace_settings(ROOT / ".env")',
    ],
    "blog": [
        "migrations/env.py: uses a connection that it is given",
        "unittest classes",
        "a scoped session",
        'alembic.set_main_option("script_location", str(ROOT / "migrations"))',
    ],
    "warehouse": [
        "backend/alembic/env.py: uses a connection that it is given",
        "postgresql+asyncpg, asynchronous",
        "pytest-asyncio",
        "a global factory",
        "'host': 'POSTGRES_HOST'",
        "ROOT = Path(__file__).parents[2]",
    ],
}


@pytest.mark.parametrize("name", FOUND)
def test_a_service_is_tried_on_a_copy(
    name: str, tmp_path: Path, run_python: RunPython, server: str
) -> None:
    copytree(SERVICES / name, tmp_path, dirs_exist_ok=True, ignore=ignore_patterns("__pycache__"))
    real = make_url("sqlite:///real.db" if name != "warehouse" else "postgresql:///x?host=/nowhere")
    (tmp_path / ".env.example").write_text(SHAPES[name].settings(real))
    if name == "shop":
        env_py = tmp_path / "migrations" / "env.py"
        env_py.write_text(env_py.read_text().replace(BRANCH, "connection = None"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    done = run_python(
        *(TEMPLATE / "try_service.py", "--python", sys.executable, tmp_path),
        cwd=TEMPLATE,
        TEST_DATABASE_URL=server,
    )

    assert [words for words in FOUND[name] if words not in done.stdout] == [], done.stdout
    assert "3 passed" in done.stdout, done.stdout
    assert "The self-test passes." in done.stdout
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
