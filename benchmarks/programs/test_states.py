"""Fills a database at `performance` scale, keeps that state, and goes back to it."""

import pytest
from my_service.models import Base
from sqlalchemy import func, select, text
from testdb.asyncio import AsyncIsolatedDatabase
from tests.bench.timing import REPEATS, timed, write


@pytest.mark.parametrize("number", REPEATS)
async def test_states(isolated_database: AsyncIsolatedDatabase, number: int) -> None:
    with timed("seed"):
        await isolated_database.seed("performance")
    with timed("snapshot"):
        await isolated_database.snapshot("filled")
    async with isolated_database.session() as session:
        rows = 0
        for table in Base.metadata.sorted_tables:
            rows += await session.scalar(select(func.count()).select_from(table))
        await session.execute(text("DELETE FROM tasks"))
        await session.commit()
    with timed("restore"):
        await isolated_database.restore("filled")
    async with isolated_database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM tasks")) == 500
    write(rows=[rows])
