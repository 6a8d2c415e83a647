"""A test changes what it likes, and the next one sees nothing of it (A10, B1–B4)."""

from uuid import uuid4

import pytest
from sqlalchemy import URL, NullPool, create_engine, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from placeholder_service.db.reset import RefusedError, drop_db
from placeholder_service.models import AuditEntry, Task, User
from placeholder_service.settings import Environment, Settings

from tests.conftest import DEVELOPMENT_DATABASES, test_session_maker
from tests.fixtures.users import UserFactory
from tests.isolation.database import IsolatedDatabase
from tests.isolation.guard import ProtectedDatabaseError

pytestmark = pytest.mark.integration

# The same test several times: whichever runs later would see what an earlier one left.
twice = pytest.mark.parametrize("run", [1, 2])


@twice
async def test_committed_rows_are_gone_in_the_next_test(db_session: AsyncSession, run: int) -> None:
    UserFactory.create(email="same@example.com")
    await db_session.commit()

    assert await db_session.scalar(select(func.count()).select_from(User)) == 1


@twice
async def test_schema_changes_are_gone_in_the_next_test(db_session: AsyncSession, run: int) -> None:
    await db_session.execute(text("CREATE TABLE left_over (id INTEGER)"))
    await db_session.execute(text("ALTER TABLE tasks RENAME TO gone"))
    await db_session.commit()


@twice
async def test_row_numbers_start_again_in_the_next_test(
    isolated_database: IsolatedDatabase,
    run: int,
) -> None:
    entry = AuditEntry(action="create", entity_type="user", entity_id=uuid4())

    async with isolated_database.session() as session:
        session.add(entry)
        await session.commit()

    assert entry.id == 1


async def test_a_rollback_keeps_what_was_committed_before(db_session: AsyncSession) -> None:
    UserFactory.create(name="kept")
    await db_session.commit()
    UserFactory.create(name="discarded")
    await db_session.flush()

    await db_session.rollback()

    assert (await db_session.scalars(select(User.name))).all() == ["kept"]


async def test_another_session_works_in_the_same_transaction(db_session: AsyncSession) -> None:
    UserFactory.create(name="mine")
    await db_session.flush()

    async with test_session_maker() as other:
        seen = (await other.scalars(select(User.name))).all()
        await other.rollback()

    assert seen == ["mine"]
    assert (await db_session.scalars(select(User.name))).all() == ["mine"]


async def test_foreign_keys_are_enforced(db_session: AsyncSession) -> None:
    db_session.add(Task(user_id=uuid4(), title="Nobody's"))

    with pytest.raises(IntegrityError):
        await db_session.flush()


@pytest.mark.parametrize("url", DEVELOPMENT_DATABASES, ids=range(len(DEVELOPMENT_DATABASES)))
def test_a_database_that_the_settings_name_cannot_be_opened(url: URL) -> None:
    engine = create_engine(url)

    with pytest.raises(ProtectedDatabaseError, match="Use the db_session fixture"):
        engine.connect()


def test_sessions_outside_of_a_test_have_no_database() -> None:
    assert test_session_maker.kw["bind"] is None


async def test_drop_db_empties_a_test_database(db_session: AsyncSession) -> None:
    await drop_db(db_session, Settings())

    with pytest.raises(DBAPIError, match="users"):
        await db_session.execute(select(User))


@pytest.mark.slow
async def test_drop_db_empties_a_postgresql_test_database(postgresql_database: URL) -> None:
    engine = create_async_engine(postgresql_database, poolclass=NullPool)

    async with AsyncSession(engine) as session:
        await drop_db(session, Settings())
        await session.execute(text("CREATE TABLE parents (id INTEGER PRIMARY KEY)"))
        await session.execute(text("CREATE TABLE children (id INTEGER REFERENCES parents)"))
        await drop_db(session, Settings())
        left = await session.scalar(text("SELECT to_regclass('parents')"))

    assert left is None


@pytest.mark.slow
async def test_drop_db_refuses_another_postgresql_database(postgresql_database: URL) -> None:
    engine = create_async_engine(postgresql_database, poolclass=NullPool)

    async with AsyncSession(engine) as session:
        await session.execute(text(f"COMMENT ON DATABASE {postgresql_database.database} IS NULL"))

        with pytest.raises(RefusedError, match="not made by the test isolation"):
            await drop_db(session, Settings())


async def test_drop_db_refuses_to_run_outside_of_tests(db_session: AsyncSession) -> None:
    settings = Settings(environment=Environment.DEVELOPMENT)

    with pytest.raises(RefusedError, match="only runs in tests"):
        await drop_db(db_session, settings)


@pytest.mark.skipif("config.option.database != 'sqlite'", reason="the mark is SQLite's")
async def test_drop_db_refuses_a_database_that_is_not_from_the_isolation(
    db_session: AsyncSession,
) -> None:
    await db_session.execute(text("PRAGMA application_id = 0"))

    with pytest.raises(RefusedError, match="not made by the test isolation"):
        await drop_db(db_session, Settings())
