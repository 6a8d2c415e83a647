"""PostgreSQL databases on request, and the contexts around them (C1, C3-C6, C8)."""

import pytest
from sqlalchemy import func, select, table, text
from sqlalchemy.ext.asyncio import AsyncSession
from testdb import Finding, rollback_test_context
from testdb.asyncio import AsyncIsolatedDatabase, AsyncOpenDatabase, AsyncOpenSnapshot
from testdb.verdicts import VanishedTransactionError

pytestmark = pytest.mark.slow

ADD_USER = text(
    "INSERT INTO users (id, email, name)"
    " VALUES ('00000000000000000000000000000001', 'one@example.com', 'One')"
)
COUNT_USERS = select(func.count()).select_from(table("users"))


async def test_the_name_of_the_database_carries_the_tests_id(
    isolated_postgres: tuple[AsyncSession, AsyncIsolatedDatabase],
) -> None:
    session, config = isolated_postgres

    name = await session.scalar(text("SELECT current_database()"))

    assert config.test_id in str(name)
    assert config.test_id.startswith("test_the_name_of_the_database")


async def test_a_snapshot_of_a_requested_database_is_restored(
    isolated_postgres: tuple[AsyncSession, AsyncIsolatedDatabase],
) -> None:
    session, config = isolated_postgres
    snapshot = await config.create_snapshot(config.database.engine, "empty")
    await session.execute(ADD_USER)
    await session.commit()

    await config.restore_snapshot(snapshot)

    assert await session.scalar(COUNT_USERS) == 0


async def test_a_requested_database_tells_about_itself(
    isolated_postgres: tuple[AsyncSession, AsyncIsolatedDatabase],
) -> None:
    session, config = isolated_postgres
    await session.execute(ADD_USER)
    await session.commit()
    await config.create_snapshot(config.database.engine, "one user")

    info = await config.get_database_info()

    assert info["rows"]["users"] == 1
    assert info["bytes"] > 0
    assert info["snapshots"] == ["one user-0"]


async def test_snapshots_can_be_dropped_before_the_test_ends(
    isolated_postgres: tuple[AsyncSession, AsyncIsolatedDatabase],
) -> None:
    _, config = isolated_postgres
    snapshot = await config.create_snapshot(config.database.engine, "empty")

    await config.cleanup_databases()

    with pytest.raises(KeyError):
        await config.restore_snapshot(snapshot)


@pytest.mark.parametrize(
    ("schema", "tables"),
    [
        ("basic", {"users"}),
        ("work", {"users", "tasks", "comments"}),
        ("everything", {"users", "tasks", "comments", "log"}),
    ],
)
async def test_a_part_of_the_schema_has_the_tables_it_needs(
    with_isolated_postgres: AsyncOpenDatabase,
    schema: str,
    tables: set[str],
) -> None:
    async with with_isolated_postgres("part", schema=schema) as (_, config):
        info = await config.get_database_info()

    assert set(info["rows"]) == tables


@pytest.mark.parametrize("schema", ["full", "basic"])
async def test_the_state_of_a_requested_database_is_validated(
    with_isolated_postgres: AsyncOpenDatabase,
    schema: str,
) -> None:
    async with with_isolated_postgres("valid", schema=schema) as (_, config):
        report = await config.validate_database_state()

    assert report.status != "fail", str(report)


async def test_checks_can_be_added_to_those_of_an_environment(
    with_isolated_postgres: AsyncOpenDatabase,
) -> None:
    async with with_isolated_postgres("checked") as (_, config):
        report = await config.validate_database_state(
            ("data", "mine", lambda _: Finding("fail", "on purpose"))
        )

    assert report.findings["data", "mine"] == Finding("fail", "on purpose")


async def test_an_unknown_schema_is_an_error_that_names_the_known_ones(
    with_isolated_postgres: AsyncOpenDatabase,
) -> None:
    async def open_it() -> None:
        async with with_isolated_postgres("part", schema="nowhere"):
            pass

    with pytest.raises(ValueError, match="there are: full, basic, work, everything"):
        await open_it()


async def test_databases_are_open_at_the_same_time_and_do_not_meet(
    with_isolated_postgres: AsyncOpenDatabase,
) -> None:
    async with (
        with_isolated_postgres("same name") as (one, _),
        with_isolated_postgres("same name") as (other, _),
    ):
        await one.execute(ADD_USER)
        await one.commit()

        assert await other.scalar(COUNT_USERS) == 0


async def test_a_scenario_is_there_from_the_start(
    with_isolated_postgres: AsyncOpenDatabase,
) -> None:
    async with with_isolated_postgres("seeded", scenario="minimal") as (session, config):
        seeded = await session.scalar(COUNT_USERS)
        await session.rollback()
        await config.database.reset()
        again = await session.scalar(COUNT_USERS)

    assert (seeded, again) == (3, 3)


async def test_the_performance_scenario_is_ready(
    performance_test_config: AsyncIsolatedDatabase,
) -> None:
    info = await performance_test_config.get_database_info()

    assert info["rows"]["tasks"] == 100


async def test_a_block_leaves_the_database_as_it_found_it(
    isolated_database: AsyncIsolatedDatabase,
    with_database_snapshots: AsyncOpenSnapshot,
) -> None:
    async with (
        with_database_snapshots("before") as database,
        database.session() as session,
    ):
        await session.execute(ADD_USER)
        await session.commit()

    async with isolated_database.session() as session:
        assert await session.scalar(COUNT_USERS) == 0


async def test_blocks_can_be_nested(
    isolated_database: AsyncIsolatedDatabase,
    with_database_snapshots: AsyncOpenSnapshot,
) -> None:
    async with with_database_snapshots("outer"):
        async with isolated_database.session() as session:
            await session.execute(ADD_USER)
            await session.commit()
        async with (
            with_database_snapshots("inner"),
            isolated_database.session() as session,
        ):
            await session.execute(text("DELETE FROM users"))
            await session.commit()
        async with isolated_database.session() as session:
            between = await session.scalar(COUNT_USERS)

    async with isolated_database.session() as session:
        assert (between, await session.scalar(COUNT_USERS)) == (1, 0)


async def test_a_rollback_context_takes_commits_back(
    isolated_database: AsyncIsolatedDatabase,
) -> None:
    async with rollback_test_context(isolated_database.engine) as session:
        await session.execute(ADD_USER)
        await session.commit()
        inside = await session.scalar(COUNT_USERS)

    async with isolated_database.session() as session:
        assert (inside, await session.scalar(COUNT_USERS)) == (1, 0)


async def test_a_transaction_that_a_test_ends_itself_is_an_error(
    isolated_database: AsyncIsolatedDatabase,
) -> None:
    async def end_it() -> None:
        async with rollback_test_context(isolated_database.engine) as session:
            await session.execute(text("COMMIT"))

    with pytest.raises(VanishedTransactionError, match="use isolated_database"):
        await end_it()
