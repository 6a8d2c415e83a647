"""Renders projects for the tests, and installs them, each combination of answers once."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

from tests.running import BIN, TEMPLATE, Result, Run, run
from tests.service.project import Service

# Services and programs with tests of their own.
collect_ignore = ["foreign_service", "programs"]

Answers = Mapping[str, str]
Render = Callable[[Answers, Path], Path]
Project = Callable[..., Path]
Change = Callable[[Path, str], None]

# The answers that matter for what runs; the last one may be left out.
ANSWERS = ("session_style", "database", "analytics")
Combination = tuple[str, ...]
Install = Callable[[Combination], Service]


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
def install(render: Render) -> Iterator[Install]:
    """Return a function that gives the installed project of a combination."""
    installed: dict[Combination, Service] = {}
    # Not in pytest's own temporary folder, which runs of pytest in the projects would clean up.
    temporary = tempfile.TemporaryDirectory(prefix="services-", ignore_cleanup_errors=True)

    def install(combination: Combination) -> Service:
        if combination not in installed:
            answers = dict(zip(ANSWERS, combination, strict=False))
            folder = render(answers, Path(temporary.name) / "-".join(combination))
            service = Service(folder, answers["session_style"], answers["database"])
            installed[combination] = service
            service.install()
        return installed[combination]

    with temporary:
        yield install
        for service in installed.values():
            service.stop()


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
def cli(config_file: Path) -> Run:
    """Return a function that runs Cookiecutter on the template as a user does."""

    def cli(*arguments: str, cwd: Path, text: str | None = None) -> Result:
        options = ("--config-file", str(config_file), *(() if text else ("--no-input",)))
        program = (BIN / "cookiecutter", *options, str(TEMPLATE), *arguments)
        return run(*program, cwd=cwd, text=text, TMPDIR=str(config_file.parent))

    return cli
