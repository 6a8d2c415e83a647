"""The service's own ways to its database are closed in tests as well (B1, B2, B4)."""

import os
import subprocess
import sys

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from {{cookiecutter.package_name}} import migrate
from {{cookiecutter.package_name}}.db import engine
from {{cookiecutter.package_name}}.db.reset import drop_db
from {{cookiecutter.package_name}}.main import create_app
from {{cookiecutter.package_name}}.settings import Settings

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
    migrations = migrate.database().at(DEVELOPMENT_DATABASES[0])

    with pytest.raises(ProtectedDatabaseError):
        migrations.engine().connect()


@pytest.mark.usefixtures("_real_settings")
def test_alembic_with_the_real_settings_does_not_connect() -> None:
    with pytest.raises(ProtectedDatabaseError):
        command.current(migrate.database().config())


def test_no_process_gets_the_real_settings() -> None:
    service = [sys.executable, "-m", "{{cookiecutter.package_name}}", "create-key"]

    with pytest.raises(ProtectedDatabaseError):
        subprocess.run(
            [*service, "--email", "me@example.com"],
            env={**os.environ, "DATABASE_URL": URL},
            check=True,
        )
