"""Installs rendered projects, each combination of answers once."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.service.project import Service

# They run in projects.
collect_ignore = ["documents", "entity", "machinery", "programs", "replacement"]

Change = Callable[[Path, str], None]

# The answers that matter for what runs; the last ones may be left out.
ANSWERS = ("session_style", "database", "analytics", "domain")
Combination = tuple[str, ...]
Install = Callable[[Combination], Service]


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
