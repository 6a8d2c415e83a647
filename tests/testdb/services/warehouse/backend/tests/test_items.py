import asyncpg
import pytest
from sqlalchemy import text
from testdb import ProtectedDatabaseError
from warehouse.items import add_item
from warehouse.settings import URL

COUNT = text("SELECT count(*) FROM items")


@pytest.mark.parametrize("run", [1, 2])
async def test_the_service_and_the_test_share_a_transaction(db_session, run):
    await add_item("a", "b")

    assert await db_session.scalar(COUNT) == 1


@pytest.mark.parametrize("run", [1, 2])
async def test_a_database_of_its_own(isolated_database, run):
    async with isolated_database.session() as session:
        await session.execute(text("INSERT INTO shelves (size) VALUES ('large')"))
        await session.commit()
        name = await session.scalar(text("SELECT current_setting('application_name')"))
        assert await session.scalar(text("SELECT count(*) FROM shelves")) == 1

    assert (isolated_database.engine.dialect.driver, name) == ("asyncpg", "warehouse")


async def test_the_settings_lead_nowhere():
    assert (URL.host, URL.port) == ("127.0.0.1", 1)


async def test_the_real_database_is_refused(pytestconfig):
    isolation = pytestconfig.hook.pytest_testdb_isolation(config=pytestconfig)
    (url,) = isolation.protected_urls

    with pytest.raises(ProtectedDatabaseError):
        await asyncpg.connect(
            host=url.query["host"], port=url.port, user="postgres", database=url.database
        )
