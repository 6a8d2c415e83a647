"""Renders projects for the tests, and installs them, each combination of answers once."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.service import Run, Service, succeeded

TEMPLATE = Path(__file__).parent.parent
# Where the programs of the template's environment are.
BIN = Path(sys.executable).parent

# A service for test_foreign_service.py, with tests of its own.
collect_ignore = ["foreign_service", "service/entity", "service/replacement"]

Answers = Mapping[str, str]
Render = Callable[[Answers, Path], Path]
Project = Callable[..., Path]
Change = Callable[[Path, str], None]

# The answers that matter for what runs; the last one may be left out.
ANSWERS = ("session_style", "database", "analytics")
Combination = tuple[str, ...]
Install = Callable[[Combination], Service]

# What this run of pytest, or the make above it, tells its own children only.
PRIVATE = ("COV_", "COVERAGE_", "MAKE", "MFLAGS", "PYTEST_", "PYTHON", "VIRTUAL_ENV")
# What would configure a rendered service.
SETTINGS = ("CLICKHOUSE_", "DATABASE_", "ENVIRONMENT", "LOG_", "MIGRATION_", "TEST_")


class CombinationScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives all tests of one combination to one worker, which renders and installs it once.

    That is what xdist's own `--dist loadgroup` is for. With pytest 9.2 it has no effect: it writes
    the groups to where pytest no longer reads a test's name.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Return what a test goes by when tests are handed out: its parameters, or its name."""
        return nodeid.partition("[")[2] or nodeid


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> CombinationScheduling:
    """Hand tests to workers by combination."""
    return CombinationScheduling(config, log)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Return the variables a user's shell would have."""
    hidden = PRIVATE + SETTINGS
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


@pytest.fixture(scope="session")
def run(environment: dict[str, str]) -> Run:
    """Return a function that runs a program to its end and captures what it prints."""

    def run(
        *command: str | Path,
        cwd: Path,
        text: str | None = None,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=cwd,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            env={**environment, "PWD": str(cwd), **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Cookiecutter configuration that keeps it out of the home folder."""
    folder = tmp_path_factory.mktemp("cookiecutter")
    path = folder / "config.yaml"
    path.write_text(f"replay_dir: {folder / 'replay'}\ncookiecutters_dir: {folder / 'clones'}\n")
    return path


@pytest.fixture(scope="session")
def render(config_file: Path) -> Render:
    """Return a function that renders a project from answers into a folder."""

    def render(answers: Answers, folder: Path) -> Path:
        # Cookiecutter leaves a file of each hook behind.
        before, tempfile.tempdir = tempfile.tempdir, str(config_file.parent)
        try:
            result = cookiecutter(
                str(TEMPLATE),
                no_input=True,
                extra_context=dict(answers),
                output_dir=str(folder),
                config_file=str(config_file),
            )
        finally:
            tempfile.tempdir = before
        return Path(result)

    return render


@pytest.fixture(scope="session")
def project(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a function that gives the project for some answers. Do not change what is in it."""
    rendered: dict[tuple[tuple[str, str], ...], Path] = {}

    def project(**answers: str) -> Path:
        key = tuple(sorted(answers.items()))
        if key not in rendered:
            rendered[key] = render(answers, tmp_path_factory.mktemp("rendered"))
        return rendered[key]

    return project


@pytest.fixture(scope="session")
def install(render: Render, run: Run, environment: dict[str, str]) -> Iterator[Install]:
    """Return a function that gives the installed project of a combination."""
    installed: dict[Combination, Service] = {}
    # Not in pytest's own temporary folder, which runs of pytest in the projects would clean up.
    temporary = tempfile.TemporaryDirectory(prefix="services-", ignore_cleanup_errors=True)

    def install(combination: Combination) -> Service:
        if combination not in installed:
            answers = dict(zip(ANSWERS, combination, strict=False))
            folder = render(answers, Path(temporary.name) / "-".join(combination))
            style, database = answers["session_style"], answers["database"]
            service = Service(folder, style, database, run, environment)
            installed[combination] = service
            succeeded(service.make("env"))
            if service.database == "postgresql":
                succeeded(service.make("database"))
        return installed[combination]

    with temporary:
        yield install
        for service in installed.values():
            if service.database == "postgresql":
                succeeded(service.make("database-stop"))


@pytest.fixture
def service(install: Install, request: pytest.FixtureRequest) -> Service:
    """Return the installed project of the test's combination."""
    return install(request.param)


@pytest.fixture
def change() -> Iterator[Change]:
    """Return a function that writes a file of a project. After the test it is as it was."""
    before: dict[Path, str | None] = {}

    def change(path: Path, text: str) -> None:
        before.setdefault(path, path.read_text() if path.exists() else None)
        path.write_text(text)

    yield change
    for path, text in before.items():
        if text is None:
            path.unlink()
        else:
            path.write_text(text)


@pytest.fixture(scope="session")
def cli(run: Run, config_file: Path) -> Run:
    """Return a function that runs Cookiecutter on the template as a user does."""

    def cli(
        *arguments: str,
        cwd: Path,
        text: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        options = ("--config-file", str(config_file), *(() if text else ("--no-input",)))
        program = (BIN / "cookiecutter", *options, str(TEMPLATE), *arguments)
        return run(*program, cwd=cwd, text=text, TMPDIR=str(config_file.parent))

    return cli


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    """Return a function that copies a rendered project, for a test that changes it."""
    return lambda source: Path(shutil.copytree(source, tmp_path / source.name, symlinks=True))
