"""Tests that other tests run in a process of their own, to kill or to look at; not collected."""

import os
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.isolation.database import IsolatedDatabase

ADD_USER = text(
    "INSERT INTO users (id, email, name)"
    " VALUES ('00000000000000000000000000000001', 'one@example.com', 'One')"
)


@pytest.mark.parametrize("number", [1, 2])
async def test_waits_to_be_killed(isolated_database: IsolatedDatabase, number: int) -> None:
    async with isolated_database.session() as session:
        await session.execute(ADD_USER)
        await session.commit()
    Path(os.environ["VICTIM_FOLDER"], str(number)).touch()
    time.sleep(60)


async def test_fails(isolated_database: IsolatedDatabase) -> None:
    async with isolated_database.session() as session:
        await session.execute(ADD_USER)
        await session.commit()
    raise AssertionError("on purpose")


async def test_ends_its_transaction(db_session: AsyncSession) -> None:
    await db_session.execute(ADD_USER)
    await db_session.execute(text("COMMIT"))


async def test_finds_nothing(db_session: AsyncSession) -> None:
    assert await db_session.scalar(text("SELECT count(*) FROM users")) == 0


async def test_leaves_a_connection_open(isolated_database: IsolatedDatabase) -> None:
    session = isolated_database.session()
    await session.execute(ADD_USER)
    test_leaves_a_connection_open.kept = session  # type: ignore[attr-defined]
