"""Rendered services to measure in, the PostgreSQL server all of them use, and runs of programs."""

import json
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cookiecutter.main import cookiecutter
from derivation import OWN, derive_sync
from sqlalchemy import make_url

from benchmarks.figures import Figures
from tests.running import TEMPLATE, clean_environment

PROGRAMS = Path(__file__).parent / "programs"
PACKAGE = "my_service"
BENCH = Path("tests/bench")
EMPTY = '"""Benchmarks."""\n'

# The tests of one thing, as they are run first: those of the tables, on databases.
FIRST_TESTS = "tests/integration/test_models.py"


def in_style(style: str, source: str) -> str:
    """Return asynchronous code in a session style."""
    return derive_sync(source, (*OWN, PACKAGE)) if style == "sync" else source


@dataclass(frozen=True)
class Spent:
    """Seconds on the clock, and seconds of CPU: the machine's load changes these much less."""

    wall: float
    cpu: float


@contextmanager
def spending() -> Iterator[list[Spent]]:
    """Measure a block with programs that end in it; the result is in the list afterwards."""
    found: list[Spent] = []
    wall, cpu = time.perf_counter(), children_cpu()
    yield found
    found.append(Spent(time.perf_counter() - wall, children_cpu() - cpu))


def children_cpu() -> float:
    """Return the CPU seconds of all programs that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


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

    def install(self, program: Path) -> None:
        """Put a plugin of pytest where its runs find it."""
        shutil.copy(program, self.path)

    def database(self, name: str) -> str:
        """Return the URL of one of the databases that `prepare` made on the server."""
        url = make_url(self.variables["TEST_DATABASE_URL"])
        url = url.set(database=f"{self.variables['BENCH_PREFIX']}{name}")
        return url.render_as_string(hide_password=False)

    def pytest(self, *arguments: str) -> Spent:
        """Run tests, without a measure of coverage and in the order of the arguments.

        Raises:
            RuntimeError: Not all tests pass.

        """
        options = ("-m", "pytest", "-q", "-p", "no:randomly", "--no-cov")
        return self.run(self.python, *options, *arguments)

    def test(self, modules: Iterable[str], *arguments: str) -> Spent:
        """Run the modules of tests that were written here."""
        return self.pytest(*(f"{BENCH}/{module}.py" for module in modules), *arguments)

    def run(self, *command: str | Path) -> Spent:
        """Run a program in the project, and return what it takes.

        Raises:
            RuntimeError: It fails.

        """
        with spending() as spent:
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
            called = " ".join(map(str, command))
            raise RuntimeError(f"{called} ended with {done.returncode}:\n{done.stdout[-5000:]}")
        return spent[0]

    def measured(self, modules: Iterable[str], *arguments: str) -> dict[str, list[float]]:
        """Run modules of tests that write figures to `BENCH_OUTPUT`, and return them."""
        output = self.path / ".bench.json"
        output.unlink(missing_ok=True)
        self.variables["BENCH_OUTPUT"] = str(output)
        self.test(modules, *arguments)
        found: dict[str, list[float]] = json.loads(output.read_text())
        return found

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
        self.run(self.python, PROGRAMS / "prepare.py")


def render(style: str, folder: Path, figures: Figures) -> Project:
    """Render a service, bring its environment, and time it."""
    answers = {"session_style": style}
    environment = clean_environment()
    with spending() as rendering:
        path = Path(
            cookiecutter(
                str(TEMPLATE), no_input=True, extra_context=answers, output_dir=str(folder)
            )
        )
    with spending() as bringing:
        subprocess.run(["make", ".uv/bin/uv"], cwd=path, env=environment, check=True)
    with spending() as installing:
        subprocess.run(
            ["make", "env"], cwd=path, env=environment, check=True, stdout=subprocess.DEVNULL
        )
    project = Project(style, path, path / ".venv/bin/python")
    # Python compiles what a run imports, and the template of the databases is built.
    with spending() as testing:
        subprocess.run(
            ["make", "test", f"ARGS={FIRST_TESTS}"],
            cwd=path,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    steps = {"render": rendering, "uv": bringing, "env": installing, "test": testing}
    for step, spent in steps.items():
        figures.add(f"{style}: first {step}", [spent[0].wall])
    return project


@contextmanager
def projects(styles: list[str], figures: Figures) -> Iterator[list[Project]]:
    """Give a service in each style, all on one server, and note the versions."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        rendered = [render(style, Path(folder) / style, figures) for style in styles]
        with server(rendered[0]) as found:
            figures.software = found["versions"]
            for project in rendered:
                project.variables["TEST_DATABASE_URL"] = found["url"]
                project.variables["BENCH_SERVER"] = found["process"]
                project.prepare(project.style)
            yield rendered


def add(project: Project, *packages: str) -> None:
    """Add packages to the environment, as the service pins them; `.` is the service."""
    uv = shutil.which("uv") or project.python.parent.parent.parent / ".uv/bin/uv"
    install = ("pip", "install", "--quiet", "--python", project.python, "-c", "constraints.txt")
    subprocess.run([uv, *install, *packages], cwd=project.path, env=clean_environment(), check=True)


def add_peers(project: Project) -> None:
    """Add the plugins that the service is compared with. From then on, pytest loads them."""
    names = ("pytest-postgresql", "pytest-sqla")
    add(project, *(f"{name}=={version(name)}" for name in names))


def with_clickhouse(project: Project) -> Project:
    """Render the same service with analytics, and add what that needs to the environment."""
    answers = {"session_style": project.style, "analytics": "clickhouse"}
    folder = project.path.parent / "clickhouse"
    path = cookiecutter(str(TEMPLATE), no_input=True, extra_context=answers, output_dir=str(folder))
    service = Project(project.style, Path(path), project.python, dict(project.variables))
    add(service, "--group", "dev", "--editable", ".")
    return service


@contextmanager
def server(project: Project) -> Iterator[dict[str, Any]]:
    """Run the PostgreSQL server that a service brings, and remove its data at the end."""
    command = (project.python, PROGRAMS / "server.py")
    with subprocess.Popen(
        command,
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
