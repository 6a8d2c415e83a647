"""Rendered services to measure in, the PostgreSQL server all of them use, and runs of pytest."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cookiecutter.main import cookiecutter
from derivation import OWN, derive_sync

TEMPLATE = Path(__file__).parent.parent
PROGRAMS = Path(__file__).parent / "programs"
PACKAGE = "my_service"
BENCH = Path("tests/bench")
EMPTY = '"""Benchmarks."""\n'

# What would configure a service or a run of pytest.
HIDDEN = (
    "BENCH_ COV_ COVERAGE_ DATABASE_ ENVIRONMENT LOG_ MAKE MFLAGS MIGRATION_ PYTEST_ PYTHON TEST_"
    " VIRTUAL_ENV"
)


def in_style(style: str, source: str) -> str:
    """Return asynchronous code in a session style."""
    return derive_sync(source, (*OWN, PACKAGE)) if style == "sync" else source


def clean_environment() -> dict[str, str]:
    """Return the variables a user's shell would have."""
    hidden = tuple(HIDDEN.split())
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


@dataclass
class Project:
    """A rendered service with an environment.

    Attributes:
        style: sync or async.
        path: Where it is.
        python: The Python it runs on.
        variables: What its tests find in their environment, besides the usual.

    """

    style: str
    path: Path
    python: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of its programs; a copy of a service is found before the first."""
        return clean_environment() | {"PYTHONPATH": str(self.path / "src")} | self.variables

    def write(self, module: str, source: str) -> None:
        """Write a module of tests."""
        folder = self.path / BENCH
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").write_text(EMPTY)
        (folder / f"{module}.py").write_text(source)

    def add(self, module: str) -> None:
        """Write one of the programs as a module of tests, or for them, in the service's style."""
        self.write(module, in_style(self.style, (PROGRAMS / f"{module}.py").read_text()))

    def pytest(self, module: str, *arguments: str, plugin: str = "") -> float:
        """Run a module of tests; return how long it took, by pytest's own count of seconds.

        Raises:
            RuntimeError: Not all tests pass.

        """
        unused = () if plugin else ("-p", "no:pytest_postgresql")
        report = self.run(
            [
                *(str(self.python), "-m", "pytest", "-p", "no:randomly", *unused, "--no-cov"),
                *(f"{BENCH}/{module}.py", *arguments),
            ]
        )
        passed = re.search(r"=+ \d+ passed in ([\d.]+)s", report)
        if passed is None:
            raise RuntimeError(f"not all tests passed:\n{report}")
        return float(passed[1])

    def run(self, command: list[str]) -> str:
        """Run a program in the project and return what it prints.

        Raises:
            RuntimeError: It fails.

        """
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command} failed with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def measured(self, module: str, *arguments: str, repeats: int = 1) -> dict[str, list[float]]:
        """Run a module of tests that writes figures to `BENCH_OUTPUT`, and return them."""
        self.variables["BENCH_REPEATS"] = str(repeats)
        output = self.path / ".bench.json"
        self.variables["BENCH_OUTPUT"] = str(output)
        self.pytest(module, *arguments)
        found: dict[str, list[float]] = json.loads(output.read_text())
        return found

    def wall_clock(self, module: str, *arguments: str) -> float:
        """Run a module of tests; return the seconds from its start as a process to its end."""
        start = time.perf_counter()
        self.pytest(module, *arguments)
        return time.perf_counter() - start

    def copy(self, name: str) -> "Project":
        """Copy the service, for a measure that changes it; it keeps the environment."""
        path = self.path.parent / name
        leave = shutil.ignore_patterns(".venv", ".git", ".*_cache", "__pycache__", BENCH.name)
        shutil.copytree(self.path, path, ignore=leave)
        return Project(self.style, path, self.python, dict(self.variables))

    def prepare(self, prefix: str) -> None:
        """Make the databases of the patterns that are not the service's own."""
        self.variables["BENCH_PREFIX"] = f"bench_{prefix}_"
        self.variables["BENCH_MIGRATED"] = str(self.path / "bench.sqlite")
        self.run([str(self.python), str(PROGRAMS / "prepare.py")])


def render(style: str, folder: Path, analytics: str = "none") -> Project:
    """Render a service and bring its environment, with the plugin it is compared with."""
    path = Path(
        cookiecutter(
            str(TEMPLATE),
            no_input=True,
            extra_context={"session_style": style, "analytics": analytics},
            output_dir=str(folder / f"{style}-{analytics}"),
        )
    )
    environment = clean_environment()
    subprocess.run(
        ["make", "env"], cwd=path, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    python = path / ".venv/bin/python"
    uv = shutil.which("uv") or str(path / ".uv/bin/uv")
    plugin = f"pytest-postgresql=={version('pytest-postgresql')}"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", python, "-c", "constraints.txt", plugin],
        cwd=path,
        env=environment,
        check=True,
    )
    return Project(style, path, python)


@contextmanager
def projects(styles: list[str]) -> Iterator[tuple[list[Project], dict[str, str]]]:
    """Give a service in each style, all on one server, and the versions of what they run on."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        rendered = [render(style, Path(folder)) for style in styles]
        with server(rendered[0]) as found:
            for project in rendered:
                project.variables["TEST_DATABASE_URL"] = found["url"]
                project.prepare(project.style)
            yield rendered, found["versions"]


@contextmanager
def project_with_clickhouse(style: str) -> Iterator[Project]:
    """Give a service with analytics."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield render(style, Path(folder), analytics="clickhouse")


@contextmanager
def server(project: Project) -> Iterator[dict[str, Any]]:
    """Run the PostgreSQL server that a service brings, and remove its data at the end."""
    with subprocess.Popen(
        [project.python, PROGRAMS / "server.py"],
        cwd=project.path,
        env=project.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the server's process has no pipes")
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the server did not start")
        found = json.loads(line)
        try:
            yield found
        finally:
            process.stdin.close()
            process.wait()
            shutil.rmtree(found["folder"], ignore_errors=True)
            Path(f"{found['folder']}.lock").unlink(missing_ok=True)
