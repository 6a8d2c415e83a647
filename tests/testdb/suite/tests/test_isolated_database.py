"""A database of a test's own: what it may do, and that nothing of it is left (B, C5, D3)."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import testdb.database
from alembic.config import Config
from service.database import APPLICATION, BUSY_TIMEOUT_MS, ServiceSession
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import sessionmaker
from testdb.asyncio import AsyncIsolatedDatabase
from testdb.difference import TableDifference
from testdb.migrations import TemplateError
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


# What a test does, and whether a connection has to prepare its statements again.
CHANGES = {
    "rows": (user(1), False),
    "a table": ("CREATE TABLE extra (id INTEGER)", True),
    "a table that is gone again": ("CREATE TABLE extra (id INTEGER); DROP TABLE extra", True),
    "a column": ("ALTER TABLE users ADD extra INTEGER", True),
}


@pytest.mark.parametrize(("script", "is_prepared_again"), CHANGES.values(), ids=CHANGES)
def test_connections_to_a_file_prepare_again_only_where_the_schema_has_changed(
    own_run: Run, tmp_path: Path, script: str, *, is_prepared_again: bool
) -> None:
    prepared: list[int] = []
    query = "SELECT * FROM users"

    def note(action: int, *_: object) -> int:
        prepared.append(action)
        return sqlite3.SQLITE_OK

    with (
        closing(SqliteFile(tmp_path, own_run.sqlite.image)) as file,
        closing(sqlite3.connect(file.path)) as connection,
    ):
        connection.set_authorizer(note)
        columns = len(connection.execute(query).description)
        # A table of the same name has other columns each time.
        for column in ("number", "text"):
            with closing(sqlite3.connect(file.path)) as other:
                other.executescript(script.replace("id", column) if "extra" in script else script)
            file.renew()
            prepared.clear()
            cursor = connection.execute(query)

            assert cursor.fetchall() == []
            assert len(cursor.description) == columns
            assert bool(prepared) == is_prepared_again
            assert not connection.execute(
                "SELECT * FROM sqlite_master WHERE name = 'extra'"
            ).fetchone()


@pytest.mark.parametrize("threshold", [None, 5])
def test_connections_that_prepare_nothing_outlive_a_table(
    own_run: Run, own_database: PostgresqlDatabase, threshold: int | None
) -> None:
    def make_engine(url: URL) -> Engine:
        options = {"prepare_threshold": threshold}
        return create_engine(url.set(drivername="postgresql+psycopg"), connect_args=options)

    isolation = replace(own_run.isolation, engine=make_engine, sessions=sessionmaker)
    database = testdb.database.IsolatedDatabase(own_database, isolation, IsolationReport())
    processes = set()
    for kind in ("INTEGER", "TEXT"):
        with database.engine.connect() as connection:
            connection.execute(text(f"CREATE TABLE extra (id {kind})"))
            for _ in range(7):
                assert connection.execute(text("SELECT * FROM extra")).all() == []
            processes.add(connection.scalar(text("SELECT pg_backend_pid()")))
            connection.commit()
        database.renew()
    database.close()

    assert len(processes) == (1 if threshold is None else 2)


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


# What there is, in words: names, columns, comments and rights.
SCHEMA = """
    SELECT string_agg(it, E'\n' ORDER BY it) FROM (
    SELECT concat_ws(' ', nspname, relname, relacl, obj_description(c.oid, 'pg_class')) AS it
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT concat_ws(' ', attrelid::regclass, attname, atttypid::regtype)
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname !~ '^pg_'
    UNION ALL SELECT typname FROM pg_type UNION ALL SELECT proname FROM pg_proc) AS parts
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "needed"),
    [
        ("SELECT 1", "nothing"),
        (user(1), "rows"),
        (f"SET session_replication_role = replica; {user(1)}", "rows"),
        ("CREATE TABLE extra (id UUID REFERENCES users); DROP TABLE extra", "schema"),
        (f"CREATE TABLE extra (id UUID REFERENCES users); {user(1)}", "schema"),
        (
            "CREATE SCHEMA extra CREATE TABLE extra (id SERIAL) CREATE VIEW one AS SELECT 1",
            "schema",
        ),
        ("CREATE TYPE extra AS ENUM ('one'); CREATE TABLE more (it extra)", "schema"),
        ("CREATE TEMPORARY TABLE extra (id INTEGER)", "schema"),
        ("ALTER TABLE users ADD extra INTEGER", "spare"),
        ("ALTER TABLE users ADD extra INTEGER; ALTER TABLE users DROP extra", "spare"),
        ("CREATE TABLE extra (id INTEGER); TRUNCATE log", "spare"),
        ("CREATE FUNCTION extra() RETURNS INTEGER LANGUAGE sql AS 'SELECT 1'", "spare"),
        ("CREATE INDEX extra ON users (name)", "spare"),
        ("COMMENT ON TABLE users IS 'extra'", "spare"),
        ("GRANT SELECT ON users TO pg_monitor", "spare"),
        ("DROP TABLE log", "spare"),
    ],
)
def test_the_cheapest_way_back_is_taken(
    own_database: PostgresqlDatabase,
    statement: str,
    needed: str,
) -> None:
    with own_database.connected() as connection:
        before = connection.scalar(text(SCHEMA))
        connection.execute(text(statement))
        connection.commit()

    assert own_database.renew() == needed
    with own_database.connected() as connection:
        assert connection.scalar(text(SCHEMA)) == before


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


# What migrations can make, what a test does to it, and what is there again afterwards.
LONG = "a" * 58
ODD = '"100%s ""of"" :name\'s $$"'
AUDIT = (
    "CREATE SCHEMA audit CREATE TABLE log (id INTEGER,"
    " double INTEGER GENERATED ALWAYS AS (2 * id) STORED,"
    " number INTEGER GENERATED ALWAYS AS IDENTITY)"
)
READ_ONLY = (
    "DO $do$ BEGIN EXECUTE 'ALTER DATABASE ' || quote_ident(current_database())"
    " || ' SET default_transaction_read_only = on'; END $do$"
)
RELATIVES = (
    "CREATE TABLE parent (id INTEGER)",
    "CREATE TABLE child (more INTEGER DEFAULT 7) INHERITS (parent)",
    "CREATE TABLE grandchild () INHERITS (child)",
    "CREATE TABLE measurements (id INTEGER) PARTITION BY RANGE (id)",
    "CREATE TABLE low PARTITION OF measurements FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE high PARTITION OF measurements FOR VALUES FROM (10) TO (99)",
    "INSERT INTO parent VALUES (1)",
    "INSERT INTO child VALUES (2)",
    "INSERT INTO grandchild VALUES (3)",
    "INSERT INTO measurements VALUES (4), (44)",
)
EVERYWHERE = (
    "SELECT array(SELECT tableoid::regclass || ' ' || id FROM parent ORDER BY 1)"
    " || array(SELECT tableoid::regclass || ' ' || id FROM measurements ORDER BY 1)"
)
Case = tuple[Sequence[str], Sequence[str], str, str]
MIGRATED: dict[str, Case] = {
    "another schema": (
        (
            AUDIT,
            "INSERT INTO audit.log VALUES (1)",
        ),
        ("INSERT INTO audit.log VALUES (2)",),
        "SELECT array(SELECT log::text FROM audit.log)",
        "rows",
    ),
    "parent changed": (RELATIVES, ("UPDATE parent SET id = id + 10",), EVERYWHERE, "rows"),
    "parent emptied": (RELATIVES, ("DELETE FROM parent",), EVERYWHERE, "rows"),
    "parent truncated": (RELATIVES, ("TRUNCATE parent, measurements",), EVERYWHERE, "rows"),
    "child changed": (RELATIVES, ("INSERT INTO child VALUES (5)",), EVERYWHERE, "rows"),
    "only grandchild changed": (RELATIVES, ("DELETE FROM grandchild",), EVERYWHERE, "rows"),
    "rows moved": (RELATIVES, ("UPDATE measurements SET id = 48 - id",), EVERYWHERE, "rows"),
    "partition changed": (RELATIVES, ("DELETE FROM low",), EVERYWHERE, "rows"),
    "long names": (
        (
            f"CREATE TABLE {LONG}_one (id INTEGER)",
            f"CREATE TABLE {LONG}_two (id INTEGER)",
            f"INSERT INTO {LONG}_two VALUES (1)",
        ),
        (f"INSERT INTO {LONG}_one VALUES (1)", f"DELETE FROM {LONG}_two"),
        f"SELECT array(SELECT 1 FROM {LONG}_one) || array(SELECT id FROM {LONG}_two)",
        "rows",
    ),
    "odd names": (
        (f'CREATE TABLE {ODD} ("%(id)s" INTEGER)', f"INSERT INTO {ODD} VALUES (1)"),
        (f"INSERT INTO {ODD} VALUES (2)",),
        f'SELECT array(SELECT "%(id)s" FROM {ODD})',
        "rows",
    ),
    "large object": (
        ("SELECT lo_from_bytea(4711, 'first')",),
        ("SELECT lo_put(4711, 0, 'other')",),
        "SELECT array(SELECT encode(lo_get(oid), 'escape') FROM pg_largeobject_metadata)",
        "spare",
    ),
    "no large object": (
        (),
        ("SELECT lo_from_bytea(0, 'left over')",),
        "SELECT array(SELECT oid FROM pg_largeobject_metadata)",
        "spare",
    ),
    "setting of the database": (
        (),
        (READ_ONLY,),
        "SELECT array[current_setting('default_transaction_read_only')]",
        "spare",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", MIGRATED.values(), ids=[*MIGRATED])
def test_whatever_migrations_made_is_put_back(
    own_run: Run, postgresql_server: Server, case: Case
) -> None:
    made, done, query, needed = case

    def execute(connection: Connection, *statements: str) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))

    part = f"_{uuid4().hex[:8]}"
    template = own_run.postgresql.templates.ensure(lambda it: execute(it, *made), part=part)
    name = f"{PREFIX}{uuid4().hex}"
    with closing(PostgresqlDatabase(postgresql_server, name, template)) as database:
        found = []
        for statements in (done, ()):
            with database.connected() as connection:
                found.append(connection.exec_driver_sql(query.replace("%", "%%")).scalar())
                execute(connection, *statements)
                connection.commit()
            if statements:
                found.append(database.renew())
    postgresql_server.drop(template)

    assert found == [found[0], needed, found[0]]


@pytest.mark.slow
def test_a_difference_sees_other_schemas(own_run: Run, postgresql_server: Server) -> None:
    part = f"_{uuid4().hex[:8]}"
    made = text("CREATE SCHEMA audit CREATE TABLE log (id INTEGER)")
    template = own_run.postgresql.templates.ensure(lambda it: it.execute(made), part=part)
    name = f"{PREFIX}{uuid4().hex}"
    with closing(PostgresqlDatabase(postgresql_server, name, template)) as database:
        with database.connected() as connection:
            connection.execute(text("INSERT INTO audit.log VALUES (2)"))
            connection.commit()

        left_over = database.left_over()

    postgresql_server.drop(template)
    assert left_over["audit.log"].added == [(2,)]


@pytest.mark.slow
def test_a_lock_that_a_connection_keeps_does_not_reach_the_next_test(
    own_database: PostgresqlDatabase,
) -> None:
    with own_database.connected() as connection:
        connection.execute(text("SELECT pg_advisory_lock(17)"))
        connection.commit()

        needed = own_database.renew()
        connection.invalidate()

    assert needed == "spare"


@pytest.mark.slow
def test_a_database_that_testdb_cannot_prepare_does_not_blame_the_migrations(
    own_run: Run,
) -> None:
    def refuse_schemas(connection: Connection) -> None:
        connection.exec_driver_sql(
            "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RAISE 'no schemas here'; END $$;"
            "CREATE EVENT TRIGGER no_schemas ON ddl_command_start WHEN TAG IN ('CREATE SCHEMA')"
            " EXECUTE FUNCTION refuse()"
        )

    with pytest.raises(TemplateError, match=r"migrations are not at fault.*no schemas here"):
        own_run.postgresql.templates.ensure(refuse_schemas, part="_refused")


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
            connection.execute(text("ALTER TABLE users ADD extra INTEGER"))
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
        # Equal migrations share a template, also with a run beside this one.
        (tmp_path / "env.py").write_text(f"{content} of {tmp_path}")
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
