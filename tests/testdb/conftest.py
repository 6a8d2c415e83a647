"""The sample service in both styles, and one PostgreSQL server for all runs of its tests."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import pytest
from derivation import derive_sync

from tests.running import LIMIT, TEMPLATE, clean_environment

# They run in processes of their own.
collect_ignore = ["foreign_service", "services", "suite"]

SOURCES = TEMPLATE / "{{cookiecutter.project_slug}}" / "packages" / "testdb" / "src"
SUITE = Path(__file__).with_name("suite")
# Cookiecutter would render what Python compiles beside the sources.
COMPILED = TEMPLATE / ".pytest_cache" / "compiled"
sys.pycache_prefix = str(COMPILED)

# Tests of drivers that have no synchronous form.
ONLY_ASYNC = "tests/test_guard_coroutines.py"

RunPython = Callable[..., subprocess.CompletedProcess[str]]
Suite = Callable[[str], Path]


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """Return a function that gives the sample service and its tests in a style."""
    made: dict[str, Path] = {}

    def suite(style: str) -> Path:
        if style not in made:
            folder = tmp_path_factory.mktemp(style) / "suite"
            copytree(SUITE, folder)
            if style == "sync":
                make_synchronous(folder)
            made[style] = folder
        return made[style]

    return suite


def make_synchronous(folder: Path) -> None:
    """Derive synchronous code, as rendering a service does, and do without its plugin."""
    (folder / ONLY_ASYNC).unlink()
    for path in folder.rglob("*.py"):
        path.write_text(derive_sync(path.read_text()))
    options = folder / "pytest.ini"
    lines = options.read_text().splitlines()
    kept = [line for line in lines if "asyncio" not in line and "loop" not in line]
    options.write_text("\n".join(kept).replace("addopts =", "addopts = -p no:asyncio"))


@pytest.fixture(scope="session")
def run_python() -> RunPython:
    """Return a function that runs Python with testdb on its path, and what it printed."""
    inherited = clean_environment()

    def run_python(
        *arguments: str | Path, cwd: Path, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        paths = {"PYTHONPATH": str(SOURCES), "PYTHONPYCACHEPREFIX": str(COMPILED)}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd,
            env=inherited | paths | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT,
        )

    return run_python


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Return the URL of a PostgreSQL server that the workers of a parallel run share."""
    from testdb.postgresql.server import embedded_server  # compiled elsewhere

    with embedded_server(TEMPLATE) as url:
        yield url.render_as_string(hide_password=False)
