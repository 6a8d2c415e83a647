"""`db_session`: the service's own session; a test changes what it likes, the next sees nothing."""

import logging
from uuid import uuid4

import pytest
from service.database import APPLICATION, BUSY_TIMEOUT_MS, ServiceSession
from service.models import LogEntry, Task, User
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from testdb import RefusedError, VerdictError, current_session, drop_db

from tests.conftest import test_session_maker

# The same test several times: whichever runs later would see what an earlier one left.
twice = pytest.mark.parametrize("run", [1, 2])
only_sqlite = pytest.mark.skipif("config.option.testdb_database != 'sqlite'", reason="about SQLite")
only_postgresql = pytest.mark.skipif(
    "config.option.testdb_database == 'sqlite'", reason="about servers"
)


def user(name: str = "One") -> User:
    """Return a user that no session knows of."""
    return User(email=f"{name.lower()}@example.com", name=name)


@twice
async def test_committed_rows_are_gone_in_the_next_test(db_session: AsyncSession, run: int) -> None:
    db_session.add(user())
    await db_session.commit()

    assert await db_session.scalar(select(func.count()).select_from(User)) == 1


@twice
async def test_schema_changes_are_gone_in_the_next_test(db_session: AsyncSession, run: int) -> None:
    await db_session.execute(text("CREATE TABLE left_over (id INTEGER)"))
    await db_session.execute(text("ALTER TABLE tasks RENAME TO gone"))
    await db_session.commit()


@twice
async def test_migrated_rows_are_there_again_in_the_next_test(
    db_session: AsyncSession, run: int
) -> None:
    before = (await db_session.scalars(select(LogEntry.action))).all()

    await db_session.execute(text("DELETE FROM log"))
    await db_session.commit()

    assert before == ["made"]


async def test_a_rollback_keeps_what_was_committed_before(db_session: AsyncSession) -> None:
    db_session.add(user("Kept"))
    await db_session.commit()
    db_session.add(user("Discarded"))
    await db_session.flush()

    await db_session.rollback()

    assert (await db_session.scalars(select(User.name))).all() == ["Kept"]


async def test_another_session_works_in_the_same_transaction(db_session: AsyncSession) -> None:
    db_session.add(user("Mine"))
    await db_session.flush()

    async with test_session_maker() as other:
        seen = (await other.scalars(select(User.name))).all()
        await other.rollback()

    assert seen == ["Mine"]
    assert (await db_session.scalars(select(User.name))).all() == ["Mine"]


async def test_the_factory_begins_transactions_as_well(db_session: AsyncSession) -> None:
    async with test_session_maker.begin() as other:
        other.add(user("Theirs"))

    assert (await db_session.scalars(select(User.name))).all() == ["Theirs"]


async def test_foreign_keys_are_enforced(db_session: AsyncSession) -> None:
    db_session.add(Task(user_id=uuid4(), title="Nobody's"))

    with pytest.raises(IntegrityError):
        await db_session.flush()


async def test_the_session_of_the_running_test_is_known(db_session: AsyncSession) -> None:
    assert current_session() is db_session


def test_without_a_session_the_fixture_is_named() -> None:
    with pytest.raises(RuntimeError, match="add the db_session fixture"):
        current_session()


def test_sessions_outside_of_a_test_have_no_database() -> None:
    assert test_session_maker.kw["bind"] is None


# Other connections of the engine


@only_postgresql
@twice
async def test_what_another_connection_commits_is_gone_in_the_next_test(
    db_session: AsyncSession, run: int
) -> None:
    before = await db_session.scalar(select(func.count()).select_from(User))
    engine = (await db_session.connection()).engine

    async with engine.begin() as connection:
        await connection.execute(insert(User).values(id=uuid4(), email="a@example.com", name="A"))

    assert before == 0


@only_sqlite
async def test_another_connection_is_refused_where_there_is_only_one(
    db_session: AsyncSession,
) -> None:
    db_session.add(user())
    await db_session.commit()
    engine = (await db_session.connection()).engine

    async def connect() -> None:
        async with engine.connect():
            pass

    for _ in range(2):
        with pytest.raises(VerdictError, match="use the session, or its `connection"):
            await connect()

    assert (await db_session.scalars(select(User.name))).all() == ["One"]


# The service's own engine and sessions


async def test_sessions_are_of_the_services_kind(db_session: AsyncSession) -> None:
    assert isinstance(db_session, ServiceSession)
    assert isinstance(test_session_maker(), ServiceSession)


@only_sqlite
async def test_the_services_pragmas_hold(db_session: AsyncSession) -> None:
    assert await db_session.scalar(text("PRAGMA busy_timeout")) == BUSY_TIMEOUT_MS


@only_postgresql
async def test_the_services_options_hold(db_session: AsyncSession) -> None:
    assert await db_session.scalar(text("SHOW application_name")) == APPLICATION
    assert await db_session.scalar(text("SHOW transaction_isolation")) == "repeatable read"


async def test_a_services_own_savepoint_is_rolled_back_alone(db_session: AsyncSession) -> None:
    db_session.add(user("Outer"))
    await db_session.flush()

    savepoint = await db_session.begin_nested()
    db_session.add(user("Inner"))
    await db_session.flush()
    await savepoint.rollback()
    await db_session.commit()

    assert (await db_session.scalars(select(User.name))).all() == ["Outer"]


@pytest.mark.slow
async def test_logging_is_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    # The env.py calls fileConfig, which disables loggers that exist.
    logging.getLogger("service").warning("seen")

    assert caplog.messages == ["seen"]


# drop_db


async def test_drop_db_empties_a_test_database(db_session: AsyncSession) -> None:
    await drop_db(db_session)

    with pytest.raises(DBAPIError, match="users"):
        await db_session.execute(select(User))


@pytest.mark.skipif("config.option.testdb_database != 'sqlite'", reason="about SQLite")
async def test_drop_db_drops_virtual_tables_with_their_own(db_session: AsyncSession) -> None:
    await db_session.execute(text("CREATE VIRTUAL TABLE docs USING fts5(body)"))

    await drop_db(db_session)

    names = await db_session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
    assert set(names.all()) <= {"sqlite_sequence"}


async def test_drop_db_drops_tables_that_refer_to_each_other(db_session: AsyncSession) -> None:
    await drop_db(db_session)
    await db_session.execute(text("CREATE TABLE parents (id INTEGER PRIMARY KEY)"))
    await db_session.execute(text("CREATE TABLE children (id INTEGER REFERENCES parents)"))

    await drop_db(db_session)

    with pytest.raises(DBAPIError, match="parents"):
        await db_session.execute(text("SELECT * FROM parents"))


async def test_drop_db_refuses_to_run_outside_of_tests(
    db_session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")

    with pytest.raises(RefusedError, match="only runs in tests"):
        await drop_db(db_session)


async def test_drop_db_refuses_a_database_without_the_mark(db_session: AsyncSession) -> None:
    connection = await db_session.connection()
    if connection.dialect.name == "sqlite":
        await db_session.execute(text("PRAGMA application_id = 0"))
    else:
        name = await db_session.scalar(text("SELECT current_database()"))
        await db_session.execute(text(f'COMMENT ON DATABASE "{name}" IS NULL'))

    with pytest.raises(RefusedError, match="not made by testdb"):
        await drop_db(db_session)
