"""`make try-service` on services of several shapes, with the environment of these tests."""

import os
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from sqlalchemy import make_url

from tests.running import TEMPLATE
from tests.testdb.conftest import RunPython
from tests.testdb.test_services import SERVICES, SHAPES
from try_service import Service, copy

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


def test_alembic_may_be_configured_in_pyproject_toml_with_a_place_in_a_package(
    tmp_path: Path, run_python: RunPython, server: str
) -> None:
    copytree(SERVICES / "shop", tmp_path, dirs_exist_ok=True)
    (tmp_path / ".env.example").write_text("DATABASE_URL=sqlite:///real.db")
    (tmp_path / "alembic.ini").unlink()
    (tmp_path / "migrations").rename(tmp_path / "shop" / "migrations")
    env_py = tmp_path / "shop" / "migrations" / "env.py"
    env_py.write_text(env_py.read_text().replace("fileConfig(config.config_file_name)\n", ""))
    with (tmp_path / "pyproject.toml").open("a") as metadata:
        metadata.write('[tool.alembic]\nscript_location = "shop:migrations"\n')

    done = run_python(
        *(TEMPLATE / "try_service.py", "--python", sys.executable, tmp_path),
        cwd=TEMPLATE,
        TEST_DATABASE_URL=server,
    )

    assert "shop/migrations/env.py: uses a connection" in done.stdout, done.stdout
    assert 'alembic = Config(toml_file=ROOT / "pyproject.toml")' in done.stdout
    assert "The self-test passes." in done.stdout


def test_both_files_of_alembic_are_named(tmp_path: Path) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\n")
    (tmp_path / "pyproject.toml").write_text('[tool.alembic]\nscript_location = "%(here)s/db"\n')
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "env.py").touch()

    service = Service(tmp_path)

    assert service.env_py == tmp_path / "db" / "env.py"
    named = 'Config(ROOT / "alembic.ini", toml_file=ROOT / "pyproject.toml")'
    assert named in service.conftest("x")


def test_sockets_and_data_are_not_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    kept = ("app/data/cities.py", "app/data/cities.csv", "app/main.py")
    for name in (*kept, "data/app.db", "var/postgres/PG_VERSION", ".venv/x.py"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    os.mkfifo(source / "queue")
    (source / "link").symlink_to("nowhere")

    copy(str(source), target)

    found = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert found == {*kept}
    assert (target / "link").is_symlink()
    assert not (target / "queue").exists()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", "name a checkout or the address"),
        ("nowhere", "there is no folder nowhere, and git cannot clone it"),
        ("{}/none", "no alembic.ini and no [tool.alembic] in a pyproject.toml"),
        (
            "{}/moved",
            "alembic.ini says that the migrations are in app:gone, and there is no env.py",
        ),
    ],
)
def test_what_cannot_be_tried_is_said_in_a_line(
    tmp_path: Path, run_python: RunPython, source: str, told: str
) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "alembic.ini").write_text("[alembic]\nscript_location = app:gone\n")

    done = run_python(TEMPLATE / "try_service.py", source.format(tmp_path), cwd=tmp_path)

    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"error: {told}")


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
