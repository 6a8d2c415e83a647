"""Which databases tests stay away from, how theirs are made, and which fixtures there are.

The order matters. The real settings are read first, to know what to protect, and replaced for
everything that follows, subprocesses included.
"""

import os
from pathlib import Path

import pytest
from sqlalchemy import make_url

from {{cookiecutter.package_name}}.db.migrate import alembic_config
from {{cookiecutter.package_name}}.settings import Environment, Settings

from tests.isolation import Isolation, test_session_maker
from tests.isolation.startup import start

__all__ = ["test_session_maker"]

pytest_plugins = [
    "tests.coverage_gate",
    "tests.isolation.plugin",
    "tests.isolation.postgresql",
    "tests.fixtures.users",
    "tests.fixtures.contexts",
    "tests.fixtures.thoughts",
    "tests.fixtures.tasks",
    "tests.fixtures.api",
]

TESTS = Path(__file__).parent

# Kept in the environment: workers and subprocesses start with the settings already replaced.
real_url = Settings().url.render_as_string(hide_password=False)
DEVELOPMENT_DATABASE = make_url(os.environ.setdefault("PROTECTED_DATABASE_URL", real_url))
os.environ["ENVIRONMENT"] = Environment.TEST
os.environ["DATABASE_URL"] = "sqlite://"


def pytest_configure(config: pytest.Config) -> None:
    """Set the isolation up before any test is collected."""
    isolation = Isolation(
        alembic=alembic_config(),
        protected=(DEVELOPMENT_DATABASE,),
        database_free=(TESTS / "unit",),
    )
    start(config, isolation)
