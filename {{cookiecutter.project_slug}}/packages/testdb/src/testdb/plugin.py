"""The pytest plugin: guards databases, builds the template, and brings the fixtures.

It does nothing until a conftest.py implements `pytest_testdb_isolation`.
"""

from argparse import ArgumentError
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from . import config as hookspecs
from . import guard, settings
from .config import Isolation
from .coverage_gate import folders_of_tests, leave_out_coverage, lift_gate
from .fixtures import make_fixtures
from .guard.children import guard_children
from .guard.earlier import close_earlier_connections
from .guard.urls import describe
from .isolations import handed_key, handed_over, hooks, nearest, refuse_late, refuse_several
from .migrations import TemplateError, find_configuration
from .postgresql.server import unused_name
from .report import refuse_other_file
from .run import Run, run_key
from .signature import is_marked

# Why the processes that tests start are not guarded.
unguarded_key = pytest.StashKey[str]()

NO_HOOK = "no conftest.py that was loaded has pytest_testdb_isolation"


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Let conftest.py say what to isolate."""
    pluginmanager.add_hookspecs(hookspecs)


# Each option is `--testdb-name`, and `--name` as well unless a conftest.py or plugin has that.
OPTIONS: dict[str, dict[str, Any]] = {
    "database": {
        "choices": ["sqlite", "postgresql"],
        "help": "what db_session and isolated_database run on (default: Isolation.database)",
    },
    "keep-database": {
        "choices": ["never", "failed", "always"],
        "default": "never",
        "help": "keep the databases of these tests, and say how to open them",
    },
    "database-file": {
        "type": Path,
        "metavar": "FILE",
        "help": "run db_session on this SQLite file, to look at what the last test left in it",
    },
    "isolation-report": {
        "nargs": "?",
        "const": "",
        "metavar": "FILE",
        "help": "show how long isolation took; with =FILE, write it there as JSON too",
    },
    "recreate-template": {
        "action": "store_true",
        "help": "build the migrated templates again, even if no migration has changed",
    },
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the command line choose the database, and ask for more about it."""
    for name, details in OPTIONS.items():
        parser.getgroup("testdb").addoption(f"--testdb-{name}", **details)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser
) -> Iterator[None]:
    """Load the conftest.py of `testpaths` first, also where the command line names other folders.

    Otherwise a run of `pytest e2e` or `pytest test_x.py` would not be guarded.
    """
    known = early_config.known_args_namespace
    given, root = known.file_or_dir, early_config.rootpath
    # The value of an option that is added below is not a folder.
    start = early_config.invocation_params.dir
    there = [name for name in given if (start / name.partition("::")[0]).exists()]
    leave_out_coverage(early_config, there)
    known.file_or_dir = [
        *(there or [str(start)]),
        str(root),
        *map(str, folders_of_tests(early_config)),
    ]
    try:
        yield
    finally:
        known.file_or_dir = given
    for name, details in OPTIONS.items():
        # The name is taken: the longer one is left.
        with suppress(ValueError, ArgumentError):
            dest = f"testdb_{name.replace('-', '_')}"
            parser.getgroup("testdb").addoption(f"--{name}", dest=dest, **details)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Guard what is protected before any other code runs, if there is an isolation."""
    handed = config.stash[handed_key] = handed_over(config)
    if not handed:
        return
    isolation = nearest(config, handed)[0].isolation
    option = config.option
    option.testdb_database = option.testdb_database or isolation.database
    if option.testdb_database_file is not None and getattr(option, "numprocesses", None):
        raise pytest.UsageError("--database-file is for one process: leave out -n")
    refuse_foreign(option.testdb_database_file)
    refuse_other_file(option.testdb_isolation_report)
    if option.testdb_database == "postgresql" and (reason := unused_name()):
        raise pytest.UsageError(
            f"{reason}. Next: name one there, or unset it to have testdb start a server"
        )
    is_worker = hasattr(config, "workerinput")
    find_configuration(isolation, config.rootpath)
    protect_all([its.isolation for its in handed], config.rootpath)
    close_earlier_connections()
    run = config.stash[run_key] = Run(config, isolation)
    fixtures = make_fixtures(config, is_async=isolation.is_async)
    config.pluginmanager.register(run.report, "testdb-report")
    config.pluginmanager.register(fixtures, "testdb-fixtures")
    if isolation.clickhouse is not None:
        isolation.clickhouse.start(config)
    settings.replace_protected()
    if not is_worker:
        guard_processes(config, [name for its in handed for name in its.isolation.replaced])
    lift_gate(config)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Build the template in the main process, before there are workers and tests are collected.

    A migration that fails ends the run with its error, not a thousand tests with theirs.
    """
    config = session.config
    run = config.stash.get(run_key, None)
    if run is None or hasattr(config, "workerinput") or config.option.collectonly:
        return
    refuse_several(config)
    if not needs_no_database(config, run.isolation):
        try:
            run.template = run.backend.build_template(
                recreate=config.option.testdb_recreate_template
            )
        except (pytest.skip.Exception, TemplateError) as reason:
            pytest.exit(str(reason), returncode=1)


def protect_all(isolations: Iterable[Isolation[Any]], root: Path) -> None:
    """Guard what any service protects, whose tests may run or not."""
    for isolation in isolations:
        # Where the configuration is not found, this is for a run of its own to say.
        with suppress(pytest.UsageError):
            find_configuration(isolation, root)
        guard.protect(isolation.protected_urls)
        settings.remember(isolation.protected_urls)
        if isolation.clickhouse is not None:
            isolation.clickhouse.protect()


def guard_processes(config: pytest.Config, replaced: Iterable[str]) -> None:
    """Have the processes that tests start guard themselves, until the run ends."""
    stack = ExitStack()
    config.add_cleanup(stack.close)
    names = sorted({*replaced, *settings.replaced})
    try:
        stack.enter_context(guard_children(names))
    except OSError as error:
        message = f"processes that tests start are not guarded: {error}"
        config.stash[unguarded_key] = message
        # It ends no run that takes warnings for errors.
        with suppress(pytest.PytestWarning):
            config.issue_config_time_warning(pytest.PytestWarning(message), 2)


def refuse_foreign(file: Path | None) -> None:
    """Make sure that tests write to no file but a new one, or one that they made."""
    if file is None:
        return
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise pytest.UsageError(f"--database-file {file}: name a file in a folder that exists")
    if file.exists():
        header = file.read_bytes()[:72]
        if header and not is_marked(header):
            raise pytest.UsageError(f"--database-file {file} would be overwritten: name a new file")


def needs_no_database(config: pytest.Config, isolation: Isolation[Any]) -> bool:
    """Tell whether the run is limited to folders whose tests use no database."""
    paths = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    # A relative one starts in the project's root.
    folders = [config.rootpath / folder for folder in isolation.database_free]
    return all(any(path.is_relative_to(folder.resolve()) for folder in folders) for path in paths)


def pytest_report_header(config: pytest.Config) -> str | list[str]:
    """Say what is protected, what tests run on and from which template, or that nothing is."""
    run = config.stash.get(run_key, None)
    if run is None:
        silent = ", ".join(str(file) for _, file in hooks(config).values())
        reason = f"returned no Isolation by pytest_testdb_isolation: {silent}"
        return f"testdb: inactive, {reason if silent else NO_HOOK}"
    protected = (
        ", ".join(map(describe, run.isolation.protected_urls)) or "no database, none is named"
    )
    template = run.template or "none, as no test of this run uses a database"
    line = (
        f"testdb: tests run on {config.option.testdb_database}; protected: {protected};"
        f" template: {template}"
    )
    notes = [config.stash.get(unguarded_key, "")]
    if reason := unused_name():
        notes.append(f"{reason}, and is not used")
    return [line, *(f"testdb: {note}" for note in notes if note)]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse an isolation that comes too late: no test would be guarded, and nothing said."""
    refuse_late(session.config)


@pytest.hookimpl(tryfirst=True)
def pytest_testdb_isolation(config: pytest.Config) -> Isolation[Any] | None:
    """Tell tests the isolation of the run, whichever conftest.py they are near to."""
    run = config.stash.get(run_key, None)
    return None if run is None else run.isolation


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, obj: object) -> list[pytest.Item] | None:
    """Keep pytest from taking `test_session_maker` for a test, where a module imports it."""
    run = collector.config.stash.get(run_key, None)
    return [] if run is not None and obj is run.isolation.session_maker else None
