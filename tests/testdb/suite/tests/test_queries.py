"""`max_queries`: what counts as a statement, and what a test is told that sends too many."""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import testdb
from service.models import Task, User
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from testdb.asyncio import AsyncIsolatedDatabase
from testdb.queries import Query, TooManyQueriesError

from tests.conftest import test_session_maker

MaxQueries = Callable[[int], AbstractContextManager[list[Query]]]
ONE = text("SELECT 1")


@pytest.fixture(params=["db_session", "isolated_database"])
async def session(
    request: pytest.FixtureRequest,
    db_session: AsyncSession,
    isolated_database: AsyncIsolatedDatabase,
) -> AsyncIterator[AsyncSession]:
    """A session of each of the two fixtures, with two people who have two tasks each."""
    chosen = db_session if request.param == "db_session" else isolated_database.session()
    async with chosen as session:
        for name in ("one", "two"):
            tasks = [Task(title=title) for title in ("first", "second")]
            session.add(User(email=f"{name}@example.com", name=name, tasks=tasks))
        await session.commit()
        session.expunge_all()
        yield session


async def count_tasks(session: AsyncSession) -> list[int]:
    """Ask for the tasks of one person after another."""
    people = (await session.scalars(select(User))).all()
    found = []
    for person in people:
        query = select(Task).where(Task.user_id == person.id)
        found.append(len((await session.scalars(query)).all()))
    return found


async def test_a_loop_that_asks_again_is_found_with_its_line(
    session: AsyncSession, max_queries: MaxQueries
) -> None:
    lines, first = inspect.getsourcelines(count_tasks)
    [offset] = [number for number, line in enumerate(lines) if "session.scalars(query)" in line]

    with pytest.raises(TooManyQueriesError) as caught, max_queries(2):
        await count_tasks(session)

    told = str(caught.value)
    assert told.startswith("3 statements were sent, and at most 2 may be:\n  1 x SELECT users.id")
    assert f"tests/test_queries.py:{first + offset}, in count_tasks\n      N+1? The same" in told
    assert "  2 x SELECT tasks.id" in told
    assert told.count("N+1?") == 1


async def test_a_block_may_send_as_many_as_its_budget(
    session: AsyncSession, max_queries: MaxQueries
) -> None:
    with max_queries(3) as sent:
        await count_tasks(session)

    assert [query.statement.partition(" FROM ")[2].split()[0] for query in sent] == [
        "users",
        "tasks",
        "tasks",
    ]


async def test_transactions_and_savepoints_count_for_nothing(
    session: AsyncSession, max_queries: MaxQueries
) -> None:
    with max_queries(2) as sent:
        await session.execute(ONE)
        await session.commit()
        async with session.begin_nested():
            await session.execute(ONE)
        await session.rollback()

    assert len(sent) == 2


async def test_what_testdb_sends_counts_for_nothing(
    isolated_database: AsyncIsolatedDatabase, max_queries: MaxQueries
) -> None:
    with max_queries(0):
        await isolated_database.seed("performance")
        await isolated_database.snapshot("filled")
        await isolated_database.restore("filled")
        await isolated_database.validate()


async def test_sessions_of_the_app_and_plain_connections_count(
    db_session: AsyncSession,
    isolated_database: AsyncIsolatedDatabase,
    max_queries: MaxQueries,
) -> None:
    with max_queries(3) as sent:
        await db_session.execute(ONE)
        async with test_session_maker() as other:
            await other.execute(ONE)
        async with isolated_database.engine.connect() as connection:
            await connection.execute(ONE)

    assert len(sent) == 3


async def test_a_block_within_a_block_has_a_budget_of_its_own(
    db_session: AsyncSession, max_queries: MaxQueries
) -> None:
    with max_queries(2) as outer:
        await db_session.execute(ONE)
        with pytest.raises(TooManyQueriesError), testdb.max_queries(0):
            await db_session.execute(ONE)

    assert len(outer) == 2


async def test_an_error_of_the_block_is_not_hidden(
    db_session: AsyncSession, max_queries: MaxQueries
) -> None:
    async def fail() -> Any:
        await db_session.execute(ONE)
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"), max_queries(0):
        await fail()


@pytest.fixture
def watched() -> Any:
    """A budget around a whole test, and what testdb does after it."""
    with testdb.max_queries(1) as sent:
        yield sent


async def test_the_end_of_a_test_counts_for_nothing(
    watched: list[Query], db_session: AsyncSession
) -> None:
    await db_session.execute(ONE)

    assert len(watched) == 1


async def test_long_statements_are_shortened_in_the_middle(
    db_session: AsyncSession, max_queries: MaxQueries
) -> None:
    long = text(f"SELECT {', '.join(map(str, range(200)))} -- end")

    with (
        pytest.raises(TooManyQueriesError, match=r"SELECT 0, 1, .* … .*, 199 -- end"),
        max_queries(0),
    ):
        await db_session.execute(long)
