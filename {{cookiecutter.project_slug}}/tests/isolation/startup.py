"""Prepares a run before any test is collected: guards databases and builds the template."""

import hashlib
import tempfile
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from tests.isolation import guard, report
from tests.isolation.children import keep_variables
from tests.isolation.config import Isolation
from tests.isolation.earlier import close_earlier_connections
from tests.isolation.migration import UnusedConnectionError
from tests.isolation.postgresql import migrated_template
from tests.isolation.server import server_for_tests
from tests.isolation.sqlite import APPLICATION_ID
from tests.isolation.template import load_template

isolation_key = pytest.StashKey[Isolation]()


def start(config: pytest.Config, isolation: Isolation) -> None:
    """Guard the protected databases and build the template; call it from `pytest_configure`.

    The template is built here, in the main process, before parallel workers exist. A migration
    that fails ends the run with its error, not a thousand tests with theirs.
    """
    if config.option.database_file is not None and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("--database-file is for one process: leave out -n")
    refuse_foreign(config.option.database_file)
    config.stash[isolation_key] = isolation
    config.pluginmanager.register(report, "isolation-report")
    guard.protect(isolation.protected)
    guard.hide()
    close_earlier_connections()
    is_worker = hasattr(config, "workerinput")
    if not is_worker:
        guard_children(config, isolation)
    if is_worker or config.option.collectonly or needs_no_database(config, isolation):
        return
    try:
        build_templates(config, isolation)
    except pytest.skip.Exception as reason:
        pytest.exit(str(reason), returncode=1)
    except UnusedConnectionError as error:
        pytest.exit(str(error), returncode=1)
    except Exception as error:  # noqa: BLE001  # a migration can raise anything
        pytest.exit(f"The migrations fail, so no test can run: {error!r}", returncode=1)


def guard_children(config: pytest.Config, isolation: Isolation) -> None:
    """Keep the replaced variables in all processes that tests start, until the run ends."""
    stack = ExitStack()
    config.add_cleanup(stack.close)
    try:
        stack.enter_context(keep_variables(isolation.replaced))
    except OSError as error:
        names = ", ".join(isolation.replaced)
        message = f"a process that a test starts without {names} is not guarded: {error}"
        config.issue_config_time_warning(pytest.PytestWarning(message), 2)


def refuse_foreign(file: Path | None) -> None:
    """Make sure that tests write to no file but one they made, or a new one.

    Raises:
        pytest.UsageError: It is somebody else's.
    """
    # https://www.sqlite.org/fileformat.html: bytes 68 to 71 are the application's id.
    if file is not None and file.exists():
        header = file.read_bytes()[:72]
        if header and header[68:] != APPLICATION_ID.to_bytes(4):
            raise pytest.UsageError(f"--database-file {file} would be overwritten: name a new file")


def build_templates(config: pytest.Config, isolation: Isolation) -> None:
    """Build what this run starts from, unless an earlier run left it."""
    recreate = config.option.recreate_template
    load_template(isolation.alembic, cache_folder(config), recreate=recreate)
    if config.option.database == "postgresql":
        # The server stays up until the run ends: workers come and go.
        stack = ExitStack()
        config.add_cleanup(stack.close)
        server = stack.enter_context(server_for_tests(config.rootpath, uuid4().hex))
        migrated_template(server, isolation.alembic, recreate=recreate)


def needs_no_database(config: pytest.Config, isolation: Isolation) -> bool:
    """Tell whether the run is limited to folders whose tests use no database."""
    paths = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    return all(
        any(path.is_relative_to(folder) for folder in isolation.database_free) for path in paths
    )


def cache_folder(config: pytest.Config) -> Path:
    """Return where templates are kept between runs: in pytest's own cache, if it has one."""
    if (cache := getattr(config, "cache", None)) is not None:
        return Path(cache.mkdir("isolation"))
    owner = hashlib.sha256(f"{Path.home()} {config.rootpath}".encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"isolation-{owner}"
    folder.mkdir(exist_ok=True)
    return folder
