"""A database of a test's own: what it may do, and that nothing of it is left."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from service.database import APPLICATION, BUSY_TIMEOUT_MS, ServiceSession
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from testdb.asyncio import AsyncIsolatedDatabase
from testdb.difference import TableDifference
from testdb.verdicts import LateUseError

RENAME = "ALTER TABLE tasks RENAME TO gone"
# The same test several times: whichever runs later would see what an earlier one left.
twice = pytest.mark.parametrize("run", [1, 2])


async def write(database: AsyncIsolatedDatabase, *statements: str) -> None:
    """Run and commit statements."""
    async with database.session() as session:
        for statement in statements:
            await session.execute(text(statement))
        await session.commit()


async def count(database: AsyncIsolatedDatabase) -> int:
    """Return how many users there are, on a connection of its own."""
    async with database.session() as session:
        return int(await session.scalar(text("SELECT count(*) FROM users")) or 0)


def user(number: int) -> str:
    """Return the statement that adds a user."""
    return (
        "INSERT INTO users (id, email, name)"
        f" VALUES ('{number:032x}', 'user{number}@example.com', 'User')"
    )


@twice
async def test_commits_are_seen_by_other_connections_and_gone_afterwards(
    isolated_database: AsyncIsolatedDatabase,
    run: int,
) -> None:
    before = await count(isolated_database)

    await write(isolated_database, user(1))

    assert (before, await count(isolated_database)) == (0, 1)


@twice
async def test_schema_changes_are_gone_afterwards(
    isolated_database: AsyncIsolatedDatabase,
    run: int,
) -> None:
    await write(isolated_database, "CREATE TABLE left_over (id INTEGER)", RENAME)


@twice
async def test_a_deletion_is_undone_with_everything_it_took_along(
    isolated_database: AsyncIsolatedDatabase,
    run: int,
) -> None:
    await write(isolated_database, user(1), "DELETE FROM alembic_version", "DELETE FROM users")

    assert await count(isolated_database) == 0


earlier: list[AsyncIsolatedDatabase] = []


@twice
async def test_what_a_test_leaves_running_does_not_reach_the_next(
    isolated_database: AsyncIsolatedDatabase, run: int
) -> None:
    for database in earlier:
        with pytest.raises(LateUseError, match=r"reach_the_next.* has ended, and left a thread"):
            await write(database, user(1))
        with pytest.raises(LateUseError, match="join the thread, or await the task"):
            async with database.engine.connect():
                pass
    earlier.append(isolated_database)

    assert await count(isolated_database) == 0


async def test_migrated_rows_are_there_again(isolated_database: AsyncIsolatedDatabase) -> None:
    async with isolated_database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM alembic_version")) == 1


@twice
async def test_row_numbers_start_again_in_the_next_test(
    isolated_database: AsyncIsolatedDatabase,
    run: int,
) -> None:
    async with isolated_database.session() as session:
        number = await session.scalar(
            text("INSERT INTO log (action) VALUES ('added') RETURNING id")
        )
        await session.commit()

    assert number == 2


async def test_sessions_and_connections_are_the_services_own(
    isolated_database: AsyncIsolatedDatabase,
) -> None:
    options = {"sqlite": "PRAGMA busy_timeout", "postgresql": "SHOW application_name"}
    expected = {"sqlite": BUSY_TIMEOUT_MS, "postgresql": APPLICATION}
    dialect = isolated_database.engine.dialect.name

    async with isolated_database.session() as session:
        assert isinstance(session, ServiceSession)
        assert await session.scalar(text(options[dialect])) == expected[dialect]


async def test_a_rollback_discards_what_was_not_committed(
    isolated_database: AsyncIsolatedDatabase,
) -> None:
    async with isolated_database.session() as session:
        await session.execute(text(user(1)))
        await session.rollback()

    assert await count(isolated_database) == 0


async def test_a_deferred_constraint_is_checked_by_the_commit(
    isolated_database: AsyncIsolatedDatabase,
) -> None:
    await write(
        isolated_database,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)",
    )
    async with isolated_database.session() as session:
        await session.execute(text("INSERT INTO child VALUES (1)"))

        with pytest.raises(IntegrityError):
            await session.commit()

    assert await count(isolated_database) == 0
    await write(isolated_database, user(1))


async def test_both_kinds_of_databases_fit_into_one_test(
    db_session: AsyncSession,
    isolated_database: AsyncIsolatedDatabase,
) -> None:
    await db_session.execute(text(user(1)))

    assert await count(isolated_database) == 0


def test_threads_write_at_the_same_time(isolated_database: AsyncIsolatedDatabase) -> None:
    engine = create_engine(isolated_database.url, poolclass=NullPool)

    def add(number: int) -> None:
        with engine.begin() as connection:
            connection.execute(text(user(number)))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(20)))

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM users")) == 20


@pytest.mark.slow
async def test_another_process_sees_and_writes(isolated_database: AsyncIsolatedDatabase) -> None:
    await write(isolated_database, user(1))
    program = (
        "import sys, sqlalchemy as sa\n"
        "with sa.create_engine(sys.argv[1]).begin() as c: c.execute(sa.text(sys.argv[2]))\n"
    )
    url = isolated_database.url.render_as_string(hide_password=False)

    subprocess.run([sys.executable, "-c", program, url, user(2)], check=True)

    assert await count(isolated_database) == 2


async def test_a_snapshot_is_restored_in_the_middle_of_a_test(
    isolated_database: AsyncIsolatedDatabase,
) -> None:
    await write(isolated_database, user(1))
    await isolated_database.snapshot("one user")
    await write(isolated_database, user(2), RENAME)

    await isolated_database.restore("one user")

    assert await count(isolated_database) == 1
    await write(isolated_database, "DELETE FROM tasks")


async def test_snapshots_can_be_restored_in_any_order_and_made_again(
    isolated_database: AsyncIsolatedDatabase,
) -> None:
    await isolated_database.snapshot("empty")
    await write(isolated_database, user(1))
    await isolated_database.snapshot("one")
    counts = []

    for name in ("empty", "one", "empty", "one"):
        await isolated_database.restore(name)
        counts.append(await count(isolated_database))
    await isolated_database.snapshot("empty")
    await isolated_database.snapshot("another")
    await isolated_database.restore("empty")
    counts.append(await count(isolated_database))

    assert counts == [0, 1, 0, 1, 1]


async def test_a_snapshot_keeps_row_numbers(isolated_database: AsyncIsolatedDatabase) -> None:
    entry = "INSERT INTO log (action) VALUES ('added')"
    await write(isolated_database, entry)
    await isolated_database.snapshot("one entry")
    await write(isolated_database, entry)

    await isolated_database.restore("one entry")
    await write(isolated_database, entry)

    async with isolated_database.session() as session:
        numbers = (await session.scalars(text("SELECT id FROM log ORDER BY id"))).all()
    assert numbers == [1, 2, 3]


async def test_an_unknown_snapshot_is_an_error(isolated_database: AsyncIsolatedDatabase) -> None:
    with pytest.raises(KeyError, match="never made"):
        await isolated_database.restore("never made")


async def test_a_difference_names_the_rows(isolated_database: AsyncIsolatedDatabase) -> None:
    await write(isolated_database, user(1), user(2))
    await isolated_database.snapshot("before")
    await write(
        isolated_database,
        user(3),
        "DELETE FROM users WHERE email = 'user1@example.com'",
        "UPDATE users SET name = 'Renamed' WHERE email = 'user2@example.com'",
    )
    await isolated_database.snapshot("after")

    difference = await isolated_database.diff("before", "after")

    assert list(difference) == ["users"]
    users = difference["users"]
    assert isinstance(users, TableDifference)
    assert [len(rows) for rows in (users.added, users.removed, users.changed)] == [1, 1, 1]


@twice
async def test_a_table_of_the_same_name_may_have_other_columns_in_the_next_test(
    isolated_database: AsyncIsolatedDatabase, run: int
) -> None:
    kind, value = ("INTEGER", 1) if run == 1 else ("TEXT", "one")
    async with isolated_database.engine.connect() as connection:
        await connection.execute(text(f"CREATE TABLE extra (it {kind})"))
        await connection.execute(text("INSERT INTO extra VALUES (:it)"), {"it": value})
        await connection.commit()

        # Drivers prepare what they are asked repeatedly.
        found = [(await connection.execute(text("SELECT * FROM extra"))).scalar() for _ in range(7)]
        await connection.commit()

    assert found == [value] * 7
