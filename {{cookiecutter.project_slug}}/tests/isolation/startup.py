"""Prepares a run before any test is collected: guards databases and builds the template."""

from pathlib import Path

import pytest

from tests.isolation import guard
from tests.isolation.config import Isolation
from tests.isolation.template import load_template

isolation_key = pytest.StashKey[Isolation]()


def start(config: pytest.Config, isolation: Isolation) -> None:
    """Guard the protected databases and build the template; call it from `pytest_configure`.

    The template is built here, in the main process, before parallel workers exist. A migration
    that fails ends the run with its error, not a thousand tests with theirs.
    """
    config.stash[isolation_key] = isolation
    guard.protect(isolation.protected)
    is_worker = hasattr(config, "workerinput")
    if is_worker or config.option.collectonly or needs_no_database(config, isolation):
        return
    try:
        load_template(isolation.alembic, cache_folder(config))
    except Exception as error:  # noqa: BLE001  # a migration can raise anything
        pytest.exit(f"The migrations fail, so no test can run: {error!r}", returncode=1)


def needs_no_database(config: pytest.Config, isolation: Isolation) -> bool:
    """Tell whether the run is limited to folders whose tests use no database."""
    paths = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    return all(
        any(path.is_relative_to(folder) for folder in isolation.database_free) for path in paths
    )


def cache_folder(config: pytest.Config) -> Path:
    """Return where templates are kept between runs: in pytest's own cache."""
    return config.cache.mkdir("isolation")
