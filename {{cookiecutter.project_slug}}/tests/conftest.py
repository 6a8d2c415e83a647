"""The pattern for tests with a database: what is protected, how databases are made, the app.

The order matters. The real settings are read first, to know what to protect, and replaced for
everything that follows, processes that tests start included.

Fixtures: `db_session`, `isolated_database` and all others that give databases are from testdb
(packages/testdb/README.md); `api_client`, factories and `sample_*` are in tests/fixtures.
"""

import os
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine
from testdb import Isolation, replace_settings

from placeholder_service.db import engine, session
from placeholder_service.models import Base
from placeholder_service.settings import PROJECT_ROOT, Environment, Settings, read_settings

from tests.fixtures.clickhouse import describe_clickhouse  # if analytics == clickhouse
from tests.fixtures.scenarios import load  # if domain == sample

pytest_plugins = [
    "tests.fixtures.base",
    "tests.fixtures.users",
    "tests.fixtures.contexts",  # if domain == sample
    "tests.fixtures.thoughts",  # if domain == sample
    "tests.fixtures.tasks",  # if domain == sample
    "tests.fixtures.api",
    "tests.fixtures.databases",
    "tests.fixtures.seed",  # if domain == sample
]

# What is protected

# Every database that the environment or a settings file names, under whatever name. In the
# environment, each is replaced by one that leads nowhere, for workers and other processes as well.
real = replace_settings(PROJECT_ROOT / ".env.defaults", PROJECT_ROOT / ".env")
# if analytics == clickhouse
DEVELOPMENT_CLICKHOUSES = [url for url in real if url.get_backend_name() in ("chdb", "clickhouse")]
# end if
DEVELOPMENT_DATABASES = [url for url in real if url.get_backend_name() in ("sqlite", "postgresql")]

# From here on, no settings but these count. Migrations go where the service goes.
Settings.model_config["env_file"] = None
for name in [name for name in os.environ if name.lower() in Settings.model_fields]:
    if name.lower() == "migration_database_url" or not name.lower().endswith("_url"):
        del os.environ[name]
os.environ["ENVIRONMENT"] = Environment.TEST
os.environ["OTEL_SDK_DISABLED"] = "true"
# if analytics == clickhouse
# No server listens there: a test that needs ClickHouse asks for it.
os.environ["CLICKHOUSE_URL"] = "clickhouse://tests:not-a-secret@127.0.0.1:1/tests"
# end if
# Invalid ones end the run here, with one message.
read_settings()

# How databases are made


def make_engine(url: URL) -> AsyncEngine:
    """Return the service's own engine, on a database that testdb has made."""
    settings = Settings(database_url=url.render_as_string(hide_password=False))
    return engine.make_engine(settings)  # noqa: TID251  # only testdb calls it


isolation = Isolation(
    alembic=PROJECT_ROOT / "alembic.ini",
    attributes={"history": False},
    database="postgresql",  # if database == postgresql
    protected=real,
    # if analytics == clickhouse
    clickhouse=describe_clickhouse(DEVELOPMENT_CLICKHOUSES),
    # end if
    engine=make_engine,
    sessions=session.make_session_maker,  # noqa: TID251  # it gets engines from the line above
    database_free=[Path(__file__).parent / "unit"],
    metadata=Base.metadata,
    schemas={
        "basic": ["users"],
        "user_management": ["api_keys", "audit_log"],
        "thread_messages": ["thought_relationships"],  # if domain == sample
    },
    seed=load,  # if domain == sample
)


def pytest_testdb_isolation() -> Isolation[session.SessionMaker]:
    """Hand it to testdb, which migrates a template before the first test and guards the rest."""
    return isolation


# How the app gets its session: tests/fixtures/api.py makes the app with this factory. While a test
# with `db_session` runs, all its sessions work in the test's transaction.
test_session_maker = isolation.session_maker
