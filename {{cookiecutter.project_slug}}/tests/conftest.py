"""Which databases tests stay away from, how theirs are made, and which fixtures there are.

The order matters. The real settings are read first, to know what to protect, and replaced for
everything that follows, subprocesses included.
"""

import os
from pathlib import Path

import pytest
from dotenv import dotenv_values
from sqlalchemy import make_url

from placeholder_service.db.migrate import alembic_config
from placeholder_service.models import Base
from placeholder_service.settings import (
    PROJECT_ROOT,
    Environment,
    Settings,
    # if analytics == clickhouse
    parse_clickhouse_url,
    # end if
    parse_database_url,
)

from tests.fixtures.clickhouse import describe_clickhouse  # if analytics == clickhouse
from tests.fixtures.scenarios import load
from tests.isolation import Isolation, test_session_maker
from tests.isolation.startup import start

__all__ = ["test_session_maker"]

pytest_plugins = [
    "tests.coverage_gate",
    "tests.isolation.plugin",
    # if analytics == clickhouse
    "tests.isolation.clickhouse.plugin",
    # end if
    "tests.fixtures.users",
    "tests.fixtures.contexts",
    "tests.fixtures.thoughts",
    "tests.fixtures.tasks",
    "tests.fixtures.api",
    "tests.fixtures.databases",
    "tests.fixtures.required",
]

TESTS = Path(__file__).parent


def real_urls() -> list[str]:
    """Return every database that the environment or a settings file names."""
    found = list(os.environ.items())
    for file in (".env.defaults", ".env"):
        found += [(name, value or "") for name, value in dotenv_values(PROJECT_ROOT / file).items()]
    # Settings take names in any case.
    named = [(name.upper(), value) for name, value in found if value]
    urls = [parse_database_url(value) for name, value in named if name == "DATABASE_URL"]
    # if analytics == clickhouse
    urls.extend(parse_clickhouse_url(value) for name, value in named if name == "CLICKHOUSE_URL")
    # end if
    return [url.render_as_string(hide_password=False) for url in urls]


# Kept in the environment: workers and subprocesses start with the settings already replaced.
protected = os.environ.setdefault("PROTECTED_DATABASE_URL", "\n".join(real_urls()))
DEVELOPMENT_DATABASES = [make_url(url) for url in protected.splitlines()]
# if analytics == clickhouse
DEVELOPMENT_CLICKHOUSES = [
    url for url in DEVELOPMENT_DATABASES if url.drivername in ("chdb", "clickhouse")
]
DEVELOPMENT_DATABASES = [url for url in DEVELOPMENT_DATABASES if url not in DEVELOPMENT_CLICKHOUSES]
# end if

# From here on, nobody's own settings count.
Settings.model_config["env_file"] = None
for name in [name for name in os.environ if name.lower() in Settings.model_fields]:
    del os.environ[name]
os.environ["ENVIRONMENT"] = Environment.TEST
os.environ["DATABASE_URL"] = "sqlite://"
# if analytics == clickhouse
# Nobody listens there: a test that needs ClickHouse asks for it.
os.environ["CLICKHOUSE_URL"] = "clickhouse://tests:tests@127.0.0.1:1/tests"
# end if


def pytest_configure(config: pytest.Config) -> None:
    """Set the isolation up before any test is collected."""
    alembic = alembic_config()
    alembic.attributes["history"] = False
    isolation = Isolation(
        alembic=alembic,
        protected=tuple(DEVELOPMENT_DATABASES),
        # if analytics == clickhouse
        replaced=("DATABASE_URL", "CLICKHOUSE_URL"),
        # end if
        database_free=(TESTS / "unit",),
        metadata=Base.metadata,
        schemas={
            "basic": ["users"],
            "user_management": ["api_keys", "audit_log"],
            "thread_messages": ["thought_relationships"],
        },
        seed=load,
        # if analytics == clickhouse
        clickhouse=describe_clickhouse(DEVELOPMENT_CLICKHOUSES),
        # end if
    )
    start(config, isolation)
