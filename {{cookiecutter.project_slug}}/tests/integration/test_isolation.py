"""A canary: isolation, guard and coverage gate hold in this project (A10, B1, B2, B4).

The tests of `packages/testdb` itself are in the template that this project was made from.
"""

import os
import subprocess
import sys

import pytest
from alembic import command
from sqlalchemy import URL, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession
from testdb import ProtectedDatabaseError, drop_db
from testdb.asyncio import AsyncIsolatedDatabase

from placeholder_service import migrate
from placeholder_service.main import create_app

from tests.conftest import DEVELOPMENT_DATABASES

pytestmark = pytest.mark.integration

# The same test several times: whichever runs later would see what an earlier one left.
twice = pytest.mark.parametrize("run", [1, 2])
CREATE = text("CREATE TABLE left_over (id INTEGER)")
REAL_URL = DEVELOPMENT_DATABASES[0].render_as_string(hide_password=False)


@twice
async def test_what_was_committed_is_gone_in_the_next_test(
    db_session: AsyncSession, isolated_database: AsyncIsolatedDatabase, run: int
) -> None:
    async with isolated_database.session() as session:
        for each in (db_session, session):
            await each.execute(CREATE)
            await each.commit()


async def test_drop_db_empties_a_test_database(db_session: AsyncSession) -> None:
    await db_session.execute(CREATE)

    await drop_db(db_session)

    await db_session.execute(CREATE)


@pytest.mark.parametrize("url", DEVELOPMENT_DATABASES, ids=range(len(DEVELOPMENT_DATABASES)))
def test_a_database_that_the_settings_name_cannot_be_opened(url: URL) -> None:
    with pytest.raises(ProtectedDatabaseError, match="Use the db_session fixture"):
        create_engine(url).connect()


async def test_the_service_does_not_reach_its_own_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", REAL_URL)

    session = create_app().state.session_maker()

    with pytest.raises(ProtectedDatabaseError):
        await session.execute(text("SELECT 1"))
    await session.close()
    with pytest.raises(ProtectedDatabaseError):
        command.current(migrate.database().config())


def test_no_process_gets_the_real_settings() -> None:
    with pytest.raises(ProtectedDatabaseError):
        subprocess.run([sys.executable, "--version"], env={**os.environ, "DATABASE_URL": REAL_URL})


def test_the_coverage_gate_is_on(pytestconfig: pytest.Config) -> None:
    assert any(option.startswith("--cov-fail-under=") for option in pytestconfig.getini("addopts"))
