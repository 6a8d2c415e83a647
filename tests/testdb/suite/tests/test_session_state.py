"""What a test sets on a connection: the next test finds it as the service opens it."""

import dataclasses
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import testdb.database
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from testdb import Isolation
from testdb.asyncio import AsyncIsolatedDatabase
from testdb.connections import Connections
from testdb.run import Run

# The same test several times: whichever runs later would see what an earlier one left.
twice = pytest.mark.parametrize("run", [1, 2])
only_sqlite = pytest.mark.skipif("config.option.testdb_database != 'sqlite'", reason="about SQLite")
only_postgresql = pytest.mark.skipif(
    "config.option.testdb_database == 'sqlite'", reason="about servers"
)
fixtures = pytest.mark.parametrize("raw", ["db_session", "isolated_database"], indirect=True)


class Raw:
    """The driver's own connection, as a test can have it from each of the two fixtures."""

    def __init__(self, connection: AsyncConnection, *, commits: bool) -> None:
        """Take it from a connection of SQLAlchemy."""
        self.connection = connection
        # Read at once: a test may change what it is.
        of_sqlalchemy: Any = connection.sync_connection
        self.driver: Any = of_sqlalchemy.connection.driver_connection
        self.commits = commits

    async def ask(self, query: str) -> Any:
        """Return the first column of what a query finds."""
        cursor = await self.driver.execute(query)
        return [row[0] for row in await cursor.fetchall()]

    async def execute(self, statement: str) -> None:
        """Run a statement, and commit it where that is allowed."""
        await self.driver.execute(statement)
        if self.commits:
            await self.driver.commit()


@pytest.fixture
async def raw(
    request: pytest.FixtureRequest,
    db_session: AsyncSession,
    isolated_database: AsyncIsolatedDatabase,
) -> AsyncIterator[Raw]:
    """The driver's connection of the fixture that is asked for."""
    if request.param == "db_session":
        yield Raw(await db_session.connection(), commits=False)
    else:
        async with isolated_database.engine.connect() as connection:
            yield Raw(connection, commits=True)


ADD_USER = (
    "INSERT INTO users (id, email, name)"
    " VALUES ('00000000000000000000000000000001', 'one@example.com', 'One')"
)

# Statements, each with a query and what that finds before any test.
PREPARED = "SELECT count(*) FROM pg_prepared_statements WHERE from_sql"
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
CUSTOM = "SELECT coalesce(nullif(current_setting('app.tenant', true), ''), 'none')"
POSTGRESQL = [
    ("SET default_transaction_read_only = on", "SHOW default_transaction_read_only", "off"),
    ("SET search_path = pg_catalog", "SHOW search_path", '"$user", public'),
    ("SELECT set_config('lock_timeout', '77s', false)", "SHOW lock_timeout", "0"),
    ("SET app.tenant = 'one'", CUSTOM, "none"),
    ("SET ROLE pg_monitor", "SELECT current_user = 'pg_monitor'", False),
    ("SET SESSION AUTHORIZATION pg_monitor", "SELECT session_user = 'pg_monitor'", False),
    ("SELECT pg_advisory_lock(17)", LOCKS, 0),
    ("SELECT pg_advisory_lock_shared(17)", LOCKS, 0),
    ("PREPARE left_over AS SELECT 1", PREPARED, 0),
    ("LISTEN left_over", "SELECT count(*) FROM pg_listening_channels()", 0),
    (
        "DECLARE left_over CURSOR WITH HOLD FOR SELECT 1",
        "SELECT count(*) FROM pg_cursors WHERE name = 'left_over'",
        0,
    ),
    ("CREATE TEMPORARY TABLE left_over (id INTEGER)", "SELECT to_regclass('left_over')", None),
]
ATTACHED = "SELECT count(*) FROM pragma_database_list WHERE name = 'left_over'"
SQLITE = [
    ("PRAGMA query_only = ON", "PRAGMA query_only", 0),
    ("PRAGMA recursive_triggers = ON", "PRAGMA recursive_triggers", 0),
    ("PRAGMA case_sensitive_like = ON", "SELECT 'a' LIKE 'A'", 1),
    ("PRAGMA ignore_check_constraints = ON", "PRAGMA ignore_check_constraints", 0),
    ("PRAGMA defer_foreign_keys = ON", "PRAGMA defer_foreign_keys", 0),
    ("PRAGMA busy_timeout = 7", "PRAGMA busy_timeout", 1234),
    ("PRAGMA cache_size(77)", "PRAGMA cache_size", -2000),
    ("ATTACH ':memory:' AS left_over", ATTACHED, 0),
    ("CREATE TEMPORARY TABLE left_over (id)", "SELECT count(*) FROM sqlite_temp_master", 0),
    ("CREATE TEMPORARY VIEW left_over AS SELECT 1", "SELECT count(*) FROM sqlite_temp_master", 0),
]


@only_postgresql
@twice
@fixtures
@pytest.mark.parametrize(("statement", "query", "clean"), POSTGRESQL)
async def test_what_a_statement_sets_in_a_session_is_gone_afterwards(
    raw: Raw, statement: str, query: str, clean: object, run: int
) -> None:
    before = await raw.ask(query)

    await raw.execute(statement)

    assert before == [clean]
    # A transaction begins to listen when it is committed.
    assert await raw.ask(query) != [clean] or statement.startswith("LISTEN")


@only_sqlite
@twice
@fixtures
@pytest.mark.parametrize(("statement", "query", "clean"), SQLITE)
async def test_what_a_statement_sets_on_a_connection_is_gone_afterwards(
    raw: Raw, statement: str, query: str, clean: object, run: int
) -> None:
    before = await raw.ask(query)

    await raw.driver.execute(statement)

    assert before == [clean]
    assert await raw.ask(query) != [clean]


@only_sqlite
@twice
async def test_foreign_keys_are_enforced_again_afterwards(
    isolated_database: AsyncIsolatedDatabase, run: int
) -> None:
    async with isolated_database.engine.connect() as connection:
        raw = Raw(connection, commits=True)
        before = await raw.ask("PRAGMA foreign_keys")

        await raw.execute("PRAGMA foreign_keys = OFF")

    assert before == [1]


# Functions of the driver. Some have an effect only: they note that they were called.
calls: list[object] = []


def note(*arguments: object) -> int:
    """Be called by SQLite."""
    calls.append(arguments)
    return 0


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "function": (lambda raw: raw.create_function("lower", 1, note), "SELECT lower('A')"),
    "authorizer": (lambda raw: raw.set_authorizer(note), "SELECT 'new', 1"),
    "trace": (lambda raw: raw.set_trace_callback(note), "SELECT 1"),
    "progress": (
        lambda raw: raw.set_progress_handler(note, 1),
        "WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n LIMIT 9) SELECT x FROM n",
    ),
}


@only_sqlite
@twice
@fixtures
@pytest.mark.parametrize(("change", "query"), FUNCTIONS.values(), ids=FUNCTIONS)
async def test_functions_given_to_the_driver_are_gone_afterwards(
    raw: Raw, change: Callable[[Any], Any], query: str, run: int
) -> None:
    calls.clear()
    await raw.ask(query)
    before = list(calls)

    await change(raw.driver)

    assert before == []
    await raw.ask(f"{query} -- once more")
    assert calls != []


ATTRIBUTES = {
    "row_factory": (sqlite3.Row, None),
    "text_factory": (bytes, str),
    "isolation_level": ("EXCLUSIVE", None),
}


@only_sqlite
@twice
@fixtures
@pytest.mark.parametrize(("name", "values"), ATTRIBUTES.items(), ids=ATTRIBUTES)
async def test_attributes_of_sqlites_connection_are_what_they_were(
    raw: Raw, name: str, values: tuple[object, object], run: int
) -> None:
    before = getattr(raw.driver, name)

    setattr(raw.driver, name, values[0])

    assert before == values[1]


@only_postgresql
@twice
@fixtures
async def test_attributes_of_psycopgs_connection_are_what_they_were(raw: Raw, run: int) -> None:
    before = raw.driver.prepare_threshold

    raw.driver.prepare_threshold = 77

    assert before != 77


# Pools


SETTING = {
    "sqlite": ("PRAGMA cache_size = 77", "PRAGMA cache_size", -2000),
    "postgresql": ("SET lock_timeout = 77", "SHOW lock_timeout", "0"),
}


@twice
async def test_all_connections_of_a_pool_are_as_they_were(
    isolated_database: AsyncIsolatedDatabase, run: int
) -> None:
    statement, query, clean = SETTING[isolated_database.engine.dialect.name]
    async with AsyncExitStack() as stack:
        opened = [
            Raw(
                await stack.enter_async_context(isolated_database.engine.connect()),
                commits=True,
            )
            for _ in range(5)
        ]
        before = [await raw.ask(query) for raw in opened]

        for raw in opened:
            await raw.execute(statement)

    assert before == [[clean]] * 5


def test_nothing_is_kept_of_a_connection_that_is_closed() -> None:
    engine = create_engine("sqlite://", poolclass=NullPool)
    connections = Connections(engine)

    for _ in range(9):
        with engine.connect():
            pass
        connections.take_used()

    assert len(connections.opened) <= 1


@pytest.mark.parametrize("plain", [False, True], ids=["with options", "plain"])
def test_a_connection_that_is_as_it_was_is_used_again(own_run: Run, *, plain: bool) -> None:
    if own_run.isolation.is_async:
        pytest.skip("the database is the same, in a greenlet")
    isolation: Isolation[Any] = own_run.isolation
    if plain:
        isolation = dataclasses.replace(isolation, engine=create_engine)
    with own_run.backend.isolated() as storage:
        database = testdb.database.IsolatedDatabase(storage, isolation, own_run.report)
        statement, _, _ = SETTING[storage.kind]
        used = []
        for do in (ADD_USER, ADD_USER, ADD_USER, statement, "SELECT 1"):
            with database.engine.begin() as connection:
                connection.execute(text(do))
                used.append(connection.connection.driver_connection)
            database.renew()
        database.close()

    assert used[0] is used[1] is used[2] is used[3]
    assert (used[3] is used[4]) == (storage.kind == "postgresql")
