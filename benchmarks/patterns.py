"""The patterns of isolation that are compared, and the tests they are compared with.

A pattern is the source of one fixture, `session`, and of what that needs. All of it is written with
coroutines; for the other session style the template's own hook derives plain functions, as it does
for the service.
"""

from dataclasses import dataclass

from benchmarks.project import in_style

# How many tests of a pattern are measured in each round: enough for the clock of the server's CPU.
TESTS = 100
SLOW_TESTS = 10

NONE = "none"
# The same without isolation, for the pattern whose tests change the schema.
NONE_DDL = "none, tests with DDL"

# One name for what differs between the styles.
CALL = {
    "sync": "def call(connection, function):\n    function(connection)\n",
    "async": "async def call(connection, function):\n    await connection.run_sync(function)\n",
}

PRELUDE = '''
"""The same small tests on one pattern of isolation."""

import itertools
import os
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import NullPool, func, insert, make_url, select, text
from sqlalchemy import create_engine as create_plain_engine

from my_service.db.engine import make_engine
from my_service.db.session import make_session_maker
from my_service.migrate import database
from my_service.models import Base, Context, Thought, User
from my_service.settings import Settings

numbers = itertools.count()
tables = ", ".join(table.name for table in Base.metadata.sorted_tables)


def engine_on(url):
    """Return the service's own engine, with all of its options and listeners."""
    return make_engine(Settings(database_url=make_url(url).render_as_string(hide_password=False)))


def session_on(engine):
    """Return a session of the service's own factory."""
    return make_session_maker(engine)()
'''

# What a small test does that needs a database: a few rows that belong together, a change, a look.
SUITE = """
@pytest.mark.parametrize("number", range({tests}))
async def test_small(number, session):
    user = User(email=f"{{next(numbers)}}@example.com", name="Someone")
    session.add(user)
    await session.flush()
    context = Context(user_id=user.id, name="Work")
    session.add(context)
    await session.flush()
    first, *others = [
        Thought(user_id=user.id, context_id=context.id, content=content)
        for content in ("One.", "Two.", "Three.")
    ]
    session.add_all([first, *others])
    await session.commit()
    first.content = "Changed."
    await session.commit()
    assert await session.scalar(select(Thought.content).where(Thought.id == first.id)) == "Changed."
    assert await session.scalar(select(func.count()).select_from(User)) {expected}
"""

# What a test changes of the schema, and changes back: even then the schema counts as changed.
DDL = """
    await session.execute(text("CREATE TABLE left_over (id INTEGER)"))
    await session.execute(text("DROP TABLE left_over"))
    await session.commit()
"""

PLAIN_SESSION = """
@pytest.fixture
async def session(bench_engine):
    async with session_on(bench_engine) as session:
        yield session
"""

# Memory databases start empty; the schema is what the migrations made of another one.
SQLITE_SCHEMA = """
def read_schema():
    with closing(sqlite3.connect(os.environ["BENCH_MIGRATED"])) as connection:
        query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        return [row[0] for row in connection.execute(query)]
"""

SQLITE_ENGINE = (
    SQLITE_SCHEMA
    + """
@pytest.fixture(scope="module")
async def bench_engine():
    engine = engine_on("sqlite://")
    async with engine.begin() as connection:
        for statement in read_schema():
            await connection.exec_driver_sql(statement)
    yield engine
    await engine.dispose()
"""
)

SHARED_FILE = """
@pytest.fixture(scope="module")
async def bench_engine(tmp_path_factory):
    path = tmp_path_factory.mktemp("shared") / "test.db"
    engine = engine_on(f"sqlite:///{path}")
    yield engine
    await engine.dispose()
"""

CREATE_AND_DROP = """
@pytest.fixture
async def session(bench_engine):
    async with bench_engine.begin() as connection:
        await call(connection, Base.metadata.create_all)
    async with session_on(bench_engine) as session:
        yield session
    async with bench_engine.begin() as connection:
        await call(connection, Base.metadata.drop_all)
"""

NEW_MEMORY_DATABASE = """
@pytest.fixture
async def session():
    engine = engine_on("sqlite://")
    async with engine.{begin}() as connection:
        await call(connection, {make})
    async with session_on(engine) as session:
        yield session
    await engine.dispose()
"""

# "Joining a Session into an External Transaction" of
# https://docs.sqlalchemy.org/en/21/orm/session_transaction.html; that the driver must not begin by
# itself, as the page on SQLite asks, is among the engine's options.
SAVEPOINT = (
    SQLITE_ENGINE
    + """
@pytest.fixture
async def session(bench_engine):
    async with bench_engine.connect() as connection:
        transaction = await connection.begin()
        sessions = make_session_maker(connection)
        async with sessions(join_transaction_mode="create_savepoint") as session:
            yield session
        await transaction.rollback()
"""
)

DELETE = """
@pytest.fixture
async def session(bench_engine):
    async with session_on(bench_engine) as session:
        yield session
    async with bench_engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            await connection.execute(table.delete())
"""

DB_SESSION = """
@pytest.fixture
def session(db_session):
    return db_session
"""

ISOLATED_DATABASE = """
@pytest.fixture
async def session(isolated_database):
    async with isolated_database.session() as session:
        yield session
"""

POSTGRESQL_ENGINE = """
@pytest.fixture(scope="module")
async def bench_engine():
    name = os.environ["BENCH_PREFIX"] + "{database}"
    engine = engine_on(make_url(os.environ["TEST_DATABASE_URL"]).set(database=name))
    async with engine.begin() as connection:
        {prepare}
    yield engine
    await engine.dispose()
"""

# An earlier run left rows.
MIGRATED = POSTGRESQL_ENGINE.format(
    database="migrated", prepare='await connection.execute(text("DELETE FROM users"))'
)
EMPTY = POSTGRESQL_ENGINE.format(
    database="empty", prepare="await call(connection, Base.metadata.drop_all)"
)

TRUNCATE = """
@pytest.fixture
async def session(bench_engine):
    async with session_on(bench_engine) as session:
        yield session
    async with bench_engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
"""

# As its documentation recommends: a process fixture fills a template once, and a client fixture
# copies it for each test.
PYTEST_POSTGRESQL = """
from pytest_postgresql import factories

server = make_url(os.environ["TEST_DATABASE_URL"])


def migrate(*, user, dbname, **_):
    engine = create_plain_engine(server.set(database=dbname), poolclass=NullPool)
    with engine.connect() as connection:
        database().upgrade("head", connection)


migrated = factories.postgresql_noproc(
    host=server.query.get("host", server.host),
    port=server.port,
    user=server.username,
    password=server.password,
    dbname=f"bench_plugin_{os.getpid()}_{__name__.rpartition('_')[2]}",
    load=[migrate],
)
postgresql = factories.postgresql("migrated")


@pytest.fixture
async def session(postgresql):
    url = server.set(database=postgresql.info.dbname)
    engine = engine_on(url)
    async with session_on(engine) as session:
        yield session
    await engine.dispose()
"""


# With a connection of its own for each test, and the service's option of sessions.
PYTEST_SQLA = """
@pytest.fixture(scope="session")
def sqla_session_options():
    return {"expire_on_commit": False}


@pytest.fixture
def session(SESSION):
    return SESSION
"""


@dataclass(frozen=True)
class Pattern:
    """One way to give each test a clean database.

    Attributes:
        engine: sqlite or postgresql.
        name: What the tables call it.
        fixtures: The source of `session`.
        slow: Whether fewer tests are measured than on the rest.
        ours: Whether it is the service's own.
        ddl: Whether its tests change the schema.

    """

    engine: str
    name: str
    fixtures: str
    slow: bool = False
    ours: bool = False
    ddl: bool = False

    @property
    def isolated(self) -> bool:
        """Tell whether a test sees only what it wrote itself."""
        return not self.name.startswith(NONE)

    @property
    def base(self) -> str:
        """Return the pattern without isolation that this one is compared with."""
        return NONE_DDL if self.ddl else NONE

    @property
    def module(self) -> str:
        """Return the name of its test module."""
        words = "".join(letter if letter.isalnum() else " " for letter in self.name).split()
        return "_".join(["test", self.engine, *words]).lower()

    @property
    def tests(self) -> int:
        """Return how many tests are measured in a round."""
        return SLOW_TESTS if self.slow else TESTS

    def suite(self, style: str, tests: int) -> str:
        """Return the small tests on this pattern. They fail if it does not isolate."""
        body = SUITE.format(tests=tests, expected="== 1" if self.isolated else "> 0")
        return self.source(style, body + (DDL if self.ddl else ""))

    def source(self, style: str, tests: str) -> str:
        """Return some tests on this pattern, in a session style."""
        plugins = "sqla_session" if style == "sync" else "sqla_async_session"
        source = PRELUDE + self.fixtures.replace("SESSION", plugins) + tests
        return CALL[style] + in_style(style, source)


SQLITE = (
    Pattern("sqlite", NONE, SQLITE_ENGINE + PLAIN_SESSION),
    Pattern("sqlite", "shared file, create and drop", SHARED_FILE + CREATE_AND_DROP, slow=True),
    Pattern(
        "sqlite",
        "create_all in memory",
        NEW_MEMORY_DATABASE.format(begin="begin", make="Base.metadata.create_all"),
        slow=True,
    ),
    Pattern(
        "sqlite",
        "migrations in memory",
        NEW_MEMORY_DATABASE.format(
            begin="connect", make="lambda connection: database().upgrade('head', connection)"
        ),
        slow=True,
    ),
    Pattern("sqlite", "savepoint recipe", SAVEPOINT),
    Pattern("sqlite", "pytest-sqla", PYTEST_SQLA),
    Pattern("sqlite", "db_session", DB_SESSION, ours=True),
    Pattern("sqlite", "isolated_database", ISOLATED_DATABASE, ours=True),
)

POSTGRESQL = (
    Pattern("postgresql", NONE, MIGRATED + PLAIN_SESSION),
    Pattern("postgresql", "create and drop", EMPTY + CREATE_AND_DROP, slow=True),
    Pattern("postgresql", "truncate", MIGRATED + TRUNCATE, slow=True),
    Pattern("postgresql", "pytest-sqla", PYTEST_SQLA),
    Pattern(
        "postgresql",
        "pytest-postgresql",
        PYTEST_POSTGRESQL,
        slow=True,
    ),
    Pattern("postgresql", "db_session", DB_SESSION, ours=True),
    Pattern("postgresql", "isolated_database", ISOLATED_DATABASE, ours=True),
    Pattern("postgresql", NONE_DDL, MIGRATED + PLAIN_SESSION, ddl=True),
    Pattern(
        "postgresql",
        "isolated_database, tests with DDL",
        ISOLATED_DATABASE,
        slow=True,
        ours=True,
        ddl=True,
    ),
)

PATTERNS = {(pattern.engine, pattern.name): pattern for pattern in (*SQLITE, *POSTGRESQL)}

# What the plot compares.
GROWING = (
    PATTERNS["sqlite", "db_session"],
    PATTERNS["sqlite", "isolated_database"],
    Pattern("sqlite", "delete all", SQLITE_ENGINE + DELETE),
    Pattern("sqlite", "create and drop", SQLITE_ENGINE + CREATE_AND_DROP),
    PATTERNS["postgresql", "db_session"],
    PATTERNS["postgresql", "isolated_database"],
    PATTERNS["postgresql", "truncate"],
    PATTERNS["postgresql", "create and drop"],
)
