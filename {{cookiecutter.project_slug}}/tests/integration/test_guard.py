"""The service's own ways to its database are closed in tests as well (B1, B2, B4)."""

import os
import subprocess
import sys

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from placeholder_service.db import engine, migrate
from placeholder_service.db.migrate import engine as migration_engine
from placeholder_service.db.reset import drop_db
from placeholder_service.main import create_app
from placeholder_service.settings import Settings

from tests.conftest import DEVELOPMENT_DATABASES
from tests.isolation.guard import ProtectedDatabaseError

pytestmark = pytest.mark.integration

URL = DEVELOPMENT_DATABASES[0].render_as_string(hide_password=False)


@pytest.fixture
def _real_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings that tests replace, put back."""
    monkeypatch.setenv("DATABASE_URL", URL)


@pytest.fixture
def real_engine() -> AsyncEngine:
    """The engine of the service on its own database."""
    return engine.make_engine(Settings(database_url=URL))  # noqa: TID251  # that is the attack


async def test_the_engine_of_the_service_does_not_connect(real_engine: AsyncEngine) -> None:
    with pytest.raises(ProtectedDatabaseError):
        await real_engine.connect()


async def test_drop_db_does_not_reach_the_database_of_the_service(real_engine: AsyncEngine) -> None:
    session = AsyncSession(real_engine)

    with pytest.raises(ProtectedDatabaseError):
        await drop_db(session, Settings())

    await session.close()


@pytest.mark.usefixtures("_real_settings")
async def test_the_app_with_its_real_settings_does_not_connect() -> None:
    session = create_app().state.session_maker()

    with pytest.raises(ProtectedDatabaseError):
        await session.execute(text("SELECT 1"))

    await session.close()


def test_the_engine_of_migrations_does_not_connect() -> None:
    make_engine = migration_engine.make_migration_engine  # noqa: TID251  # that is the attack

    with pytest.raises(ProtectedDatabaseError):
        make_engine(DEVELOPMENT_DATABASES[0], lock_timeout_ms=1, wait_seconds=1).connect()


@pytest.mark.usefixtures("_real_settings")
def test_alembic_with_the_real_settings_does_not_connect() -> None:
    with pytest.raises(ProtectedDatabaseError):
        command.current(migrate.alembic_config())


def test_no_process_gets_the_real_settings() -> None:
    service = [sys.executable, "-m", "placeholder_service", "create-key"]

    with pytest.raises(ProtectedDatabaseError):
        subprocess.run(
            [*service, "--email", "me@example.com"],
            env={**os.environ, "DATABASE_URL": URL},
            check=True,
        )
