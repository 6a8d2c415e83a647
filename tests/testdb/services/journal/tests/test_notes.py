import aiosqlite
import pytest
from sqlalchemy import text
from testdb import ProtectedDatabaseError

COUNT = text("SELECT count(*) FROM notes")


@pytest.mark.parametrize("run", [1, 2])
async def test_the_app_and_the_test_share_a_transaction(client, db_session, run):
    client.post("/notes/hello")

    assert await db_session.scalar(COUNT) == 1


@pytest.mark.parametrize("run", [1, 2])
async def test_a_database_of_its_own(client_with_commits, isolated_database, run):
    client_with_commits.post("/notes/hello")

    async with isolated_database.session() as session:
        assert await session.scalar(COUNT) == 1


async def test_the_real_database_is_refused(pytestconfig):
    isolation = pytestconfig.hook.pytest_testdb_isolation(config=pytestconfig)
    (url,) = isolation.protected_urls

    with pytest.raises(ProtectedDatabaseError):
        await aiosqlite.connect(url.database)
