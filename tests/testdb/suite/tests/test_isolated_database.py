"""A database of a test's own: what it may do, and that nothing of it is left (B, C5, D3)."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.config import Config
from service.database import APPLICATION, BUSY_TIMEOUT_MS, ServiceSession
from sqlalchemy import Connection, NullPool, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from testdb.asyncio import AsyncIsolatedDatabase
from testdb.difference import TableDifference
from testdb.postgresql.database import PostgresqlDatabase
from testdb.postgresql.server import Server, connect_server
from testdb.postgresql.templates import Templates
from testdb.report import IsolationReport
from testdb.run import Run
from testdb.signature import COMMENT, PREFIX
from testdb.sqlite.file import SqliteFile

RENAME = "ALTER TABLE tasks RENAME TO gone"
# The same test several times: whichever runs later would see what an earlier one left.
twice = pytest.mark.parametrize("run", [1, 2])


@pytest.fixture
def postgresql_server(own_run: Run) -> Server:
    """The PostgreSQL server on which tests make databases."""
    return own_run.postgresql.server


@pytest.fixture
def own_database(own_run: Run) -> Iterator[PostgresqlDatabase]:
    """A PostgreSQL database that no other test uses."""
    with own_run.postgresql.isolated() as database:
        yield database


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


def test_a_file_that_is_being_written_to_is_left_alone(own_run: Run, tmp_path: Path) -> None:
    image = own_run.sqlite.image
    with closing(SqliteFile(tmp_path, image)) as file, file.connected() as other:
        first = file.url
        file.snapshot("first")
        other.exec_driver_sql("BEGIN IMMEDIATE")

        with pytest.raises(sqlite3.OperationalError, match="end all transactions"):
            file.restore("first")
        needed = file.renew()

        assert (needed, file.url == first) == ("spare", False)


@pytest.mark.slow
def test_a_database_that_another_process_rebuilt_is_noticed(own_run: Run) -> None:
    postgresql_server, template = own_run.postgresql.server, own_run.postgresql.templates.migrated()
    name = f"{PREFIX}{uuid4().hex}"
    database = PostgresqlDatabase(postgresql_server, name, template)
    postgresql_server.drop(name)
    postgresql_server.create(name, template)

    with pytest.raises(RuntimeError, match="was rebuilt while tests ran on it"):
        database.close()
    postgresql_server.drop(name)


@pytest.mark.slow
def test_a_database_of_a_run_whose_lock_is_elsewhere_stays(postgresql_server: Server) -> None:
    name = f"{PREFIX}{uuid4().hex}"
    postgresql_server.create(name)
    mark = f"{COMMENT} of run {uuid4().hex} by another_database"
    postgresql_server.execute(f"COMMENT ON DATABASE \"{name}\" IS '{mark}'")

    postgresql_server.drop_abandoned()

    assert name in postgresql_server.databases()
    postgresql_server.drop(name)


@pytest.mark.slow
def test_a_database_that_tests_did_not_make_is_never_dropped(postgresql_server: Server) -> None:
    name = f"{PREFIX}{uuid4().hex}"
    postgresql_server.execute(f'CREATE DATABASE "{name}"')

    with pytest.raises(RuntimeError, match="is not a test database"):
        postgresql_server.drop(name)

    postgresql_server.execute(f'DROP DATABASE "{name}"')


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "needed"),
    [
        ("SELECT 1", "nothing"),
        (user(1), "rows"),
        (f"SET session_replication_role = replica; {user(1)}", "rows"),
        ("CREATE TABLE extra (id INTEGER)", "spare"),
    ],
)
def test_the_cheapest_way_back_is_taken(
    own_database: PostgresqlDatabase,
    statement: str,
    needed: str,
) -> None:
    with own_database.connected() as connection:
        connection.execute(text(statement))
        connection.commit()

    assert own_database.renew() == needed


@pytest.mark.slow
def test_other_schemas_and_generated_columns_are_put_back_too(
    own_run: Run, postgresql_server: Server
) -> None:
    def fill(connection: Connection) -> None:
        log = (
            "CREATE TABLE log (id INTEGER, double INTEGER GENERATED ALWAYS AS (2 * id) STORED,"
            " number INTEGER GENERATED ALWAYS AS IDENTITY)"
        )
        connection.execute(text(f"CREATE SCHEMA audit {log}"))
        connection.execute(text("INSERT INTO audit.log VALUES (1)"))

    part = f"_{uuid4().hex[:8]}"
    template = own_run.postgresql.templates.ensure(fill, part=part)
    name = f"{PREFIX}{uuid4().hex}"
    with closing(PostgresqlDatabase(postgresql_server, name, template)) as database:
        with database.connected() as connection:
            connection.execute(text("INSERT INTO audit.log VALUES (2)"))
            connection.commit()
        left_over = database.left_over()
        needed = database.renew()
        with database.connected() as connection:
            found = connection.execute(text("TABLE audit.log")).one()

    postgresql_server.drop(template)
    assert left_over["audit.log"].added == [(2, 4, 2)]
    assert (needed, found) == ("rows", (1, 2, 1))


@pytest.mark.slow
def test_a_lock_of_another_session_does_not_stop_the_reset(
    own_database: PostgresqlDatabase,
) -> None:
    with own_database.connected() as connection:
        connection.execute(text(user(1)))
        connection.commit()
        connection.execute(text("LOCK TABLE users"))

        needed = own_database.reset()
        connection.invalidate()

    assert needed == "copy"


@pytest.mark.slow
def test_spare_copies_are_new_and_what_they_replace_is_dropped(
    postgresql_server: Server,
    own_database: PostgresqlDatabase,
) -> None:
    used = {own_database.name}

    for _ in range(3):
        with own_database.connected() as connection:
            assert connection.scalar(text("SELECT count(*) FROM users")) == 0
            connection.execute(text(user(1)))
            connection.execute(text("CREATE TABLE extra (id INTEGER)"))
            connection.commit()
        own_database.renew()
        used.add(own_database.name)
    assert own_database.spare is not None
    own_database.spare.result()
    used.remove(own_database.name)

    assert len(used) == 3
    assert used.isdisjoint(postgresql_server.databases())


@pytest.mark.slow
def test_outdated_templates_go_when_no_run_uses_them(
    own_run: Run,
    postgresql_server: Server,
    tmp_path: Path,
) -> None:
    alembic = Config()
    alembic.set_main_option("script_location", str(tmp_path))
    place = postgresql_server.url, postgresql_server.run

    def build(server: Server, content: str) -> str:
        (tmp_path / "env.py").write_text(content)
        isolation = replace(own_run.isolation, alembic=alembic)
        return Templates(server, isolation, IsolationReport()).ensure(inspect)

    with connect_server(*place) as first, connect_server(*place) as second:
        used = {build(first, "one"), build(second, "two")}
        while_used = postgresql_server.databases().keys() & used
    with connect_server(*place) as third:
        present = build(third, "three")
        afterwards = postgresql_server.databases().keys() & {*used, present}
    postgresql_server.drop(present)

    assert while_used == used
    assert afterwards == {present}
