"""Tests that other tests run in a process of their own, to kill or to look at."""

import os
import signal
import time
from pathlib import Path

import pytest
from service.models import Task, User
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from testdb.asyncio import AsyncIsolatedDatabase

from tests.conftest import test_session_maker

ADD_USER = text(
    "INSERT INTO users (id, email, name)"
    " VALUES ('00000000000000000000000000000001', 'one@example.com', 'One')"
)

# A row without a parent, which only a commit is to notice.
DEFERRED = (
    "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
    "CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)",
    "INSERT INTO child VALUES (1)",
)


@pytest.mark.parametrize("number", [1, 2])
async def test_waits_to_be_killed(isolated_database: AsyncIsolatedDatabase, number: int) -> None:
    async with isolated_database.session() as session:
        await session.execute(ADD_USER)
        await session.commit()
    Path(os.environ["VICTIM_FOLDER"], str(isolated_database.url.database)).touch()
    time.sleep(600)


async def test_is_interrupted(isolated_database: AsyncIsolatedDatabase) -> None:
    connection = await isolated_database.engine.connect()
    await connection.execute(ADD_USER)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(600)


async def test_fails_on_its_own(isolated_database: AsyncIsolatedDatabase) -> None:
    async with isolated_database.session() as session:
        await session.execute(ADD_USER)
        await session.commit()
    raise AssertionError("on purpose")


async def test_fails_in_a_transaction(db_session: AsyncSession) -> None:
    await db_session.execute(ADD_USER)
    await db_session.commit()
    raise AssertionError("on purpose")


async def test_fails_on_request(isolated_postgres: tuple[AsyncSession, object]) -> None:
    session, _ = isolated_postgres
    await session.execute(ADD_USER)
    await session.commit()
    raise AssertionError("on purpose")


async def test_adds_a_user(db_session: AsyncSession) -> None:
    await db_session.execute(ADD_USER)
    await db_session.commit()


async def test_ends_its_transaction(db_session: AsyncSession) -> None:
    await db_session.execute(ADD_USER)
    await db_session.execute(text("COMMIT"))


async def test_commits_its_connection(db_session: AsyncSession) -> None:
    await db_session.execute(ADD_USER)
    await db_session.commit()
    await (await db_session.connection()).commit()


async def test_leaves_a_connection_open(isolated_database: AsyncIsolatedDatabase) -> None:
    session = isolated_database.session()
    await session.execute(ADD_USER)
    test_leaves_a_connection_open.kept = session  # type: ignore[attr-defined]


async def test_leaves_a_session_open(db_session: AsyncSession) -> None:
    session = test_session_maker()
    await session.execute(ADD_USER)
    test_leaves_a_session_open.kept = session  # type: ignore[attr-defined]


async def test_works_in_two_sessions_at_once(db_session: AsyncSession) -> None:
    first, second = test_session_maker(), test_session_maker()
    await first.execute(ADD_USER)
    await second.execute(text("SELECT 1"))
    await first.commit()
    await second.rollback()


async def test_breaks_a_deferred_constraint(db_session: AsyncSession) -> None:
    for statement in DEFERRED:
        await db_session.execute(text(statement))
    await db_session.commit()


async def test_finds_nothing(db_session: AsyncSession) -> None:
    assert await db_session.scalar(text("SELECT count(*) FROM users")) == 0


async def test_reads_an_attribute_that_a_commit_expired(db_session: AsyncSession) -> None:
    user = User(email="one@example.com", name="One")
    db_session.add(user)
    await db_session.commit()

    assert user.name == "One"


async def test_reads_a_relationship_that_is_not_loaded(db_session: AsyncSession) -> None:
    user = User(email="one@example.com", name="One", tasks=[Task(title="Do it")])
    db_session.add(user)
    await db_session.commit()
    db_session.expunge_all()

    found = (await db_session.scalars(select(User))).one()

    assert len(found.tasks) == 1


@pytest.mark.parametrize("run", [1, 2])
async def test_has_the_prepared_row(
    db_session: AsyncSession, isolated_database: AsyncIsolatedDatabase, run: int
) -> None:
    count = text("SELECT count(*) FROM log WHERE action = 'prepared'")
    async with isolated_database.session() as session:
        assert await session.scalar(count) == 1
        await session.execute(text("DELETE FROM log"))
        await session.commit()

    assert await db_session.scalar(count) == 1
