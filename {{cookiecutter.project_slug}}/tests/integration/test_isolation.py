"""A canary: isolation and guard hold in this project."""

import subprocess
import sys

import pytest
from alembic import command
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncSession
from testdb import ProtectedDatabaseError
from testdb.asyncio import AsyncIsolatedDatabase

from placeholder_service import migrate
from placeholder_service.main import create_app

from tests.conftest import DEVELOPMENT_DATABASES

pytestmark = pytest.mark.integration


# The same test twice: whichever runs later would see what the other one left.
@pytest.mark.parametrize("run", [1, 2])
async def test_what_was_committed_is_gone_in_the_next_test(
    db_session: AsyncSession, isolated_database: AsyncIsolatedDatabase, run: int
) -> None:
    async with isolated_database.session() as session:
        for each in (db_session, session):
            await each.execute(text("CREATE TABLE left_over (id INTEGER)"))
            await each.commit()


@pytest.mark.parametrize("url", DEVELOPMENT_DATABASES, ids=range(len(DEVELOPMENT_DATABASES)))
async def test_nothing_opens_a_database_that_the_settings_name(
    monkeypatch: pytest.MonkeyPatch, url: URL
) -> None:
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    session = create_app().state.session_maker()

    with pytest.raises(ProtectedDatabaseError, match="Use the db_session fixture"):
        await session.execute(text("SELECT 1"))
    with pytest.raises(ProtectedDatabaseError):
        command.current(migrate.database().config())
    with pytest.raises(ProtectedDatabaseError):
        subprocess.run([sys.executable, "--version"])

    await session.close()
