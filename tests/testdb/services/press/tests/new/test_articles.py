import aiosqlite
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from testdb import ProtectedDatabaseError

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("run", [1, 2])
async def test_the_app_and_the_test_share_a_transaction(app, db_session, run):
    TestClient(app).post("/articles/hello")

    assert await db_session.scalar(text("SELECT count(*) FROM articles")) == 1


async def test_the_real_database_is_refused(pytestconfig):
    isolation = pytestconfig.hook.pytest_testdb_isolation(config=pytestconfig)
    (url,) = isolation.protected_urls

    with pytest.raises(ProtectedDatabaseError):
        await aiosqlite.connect(url.database)
