"""What validation finds wrong with a database, and how it reports it."""

from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession
from testdb import Finding, Report
from testdb.asyncio import AsyncIsolatedDatabase, AsyncOpenDatabase
from testdb.postgresql.database import PostgresqlDatabase
from testdb.run import Run
from testdb.sqlite.file import SqliteFile
from testdb.validation import validate

ADD_USER = (
    "INSERT INTO users (id, email, name)"
    " VALUES ('00000000000000000000000000000001', 'one@example.com', 'One')"
)
PARENT = "CREATE TABLE parent (a INTEGER, b INTEGER, PRIMARY KEY (a, b))"
CHILD = (
    "CREATE TABLE child (id INTEGER PRIMARY KEY, x INTEGER, y INTEGER,"
    " FOREIGN KEY (x, y) REFERENCES parent (a, b))"
)


@pytest.fixture
def storage(own_run: Run) -> Iterator[PostgresqlDatabase | SqliteFile]:
    """A migrated database of the test's own."""
    with own_run.backend.isolated() as storage:
        yield storage


@pytest.fixture
def connection(storage: PostgresqlDatabase | SqliteFile) -> Iterator[Connection]:
    """A connection to it. Tests break the database and do not commit that."""
    with storage.connected() as connection:
        yield connection


@pytest.fixture
def heads(own_run: Run) -> list[str]:
    """The revisions that a migrated database is at."""
    return ScriptDirectory.from_config(own_run.isolation.configuration).get_heads()


def validate_after(connection: Connection, heads: list[str], *statements: str) -> Report:
    """Run statements and validate what they lead to."""
    for statement in statements:
        connection.execute(text(statement))
    return validate(connection, heads=heads)


async def test_a_migrated_database_passes(isolated_database: AsyncIsolatedDatabase) -> None:
    report = await isolated_database.validate()

    assert report.status == "pass", str(report)
    assert [category for category, _ in groupby(category for category, _ in report.findings)] == [
        "connection",
        "schema",
        "data",
        "performance",
        "isolation",
    ]


async def test_what_was_committed_is_counted(isolated_database: AsyncIsolatedDatabase) -> None:
    async with isolated_database.session() as session:
        await session.execute(text(ADD_USER))
        await session.commit()

    report = await isolated_database.validate()

    rows = report.findings["data", "rows"]
    assert (rows.details["users"], rows.details["tasks"]) == (1, 0)
    assert rows.summary == f"3 in {len(rows.details)} tables"


def test_the_version_of_the_database_is_told(connection: Connection, heads: list[str]) -> None:
    report = validate(connection, heads=heads)

    version = ".".join(map(str, connection.dialect.server_version_info or ()))
    expected = f"{connection.dialect.name} {version}"
    assert report.findings["connection", "answers"].summary.startswith(expected)


def test_a_broken_connection_fails(connection: Connection, heads: list[str]) -> None:
    dbapi_connection = connection.connection.dbapi_connection
    assert dbapi_connection is not None
    dbapi_connection.close()

    report = validate(connection, heads=heads)

    assert report.findings["connection", "answers"].status == "fail"
    assert "closed" in report.findings["connection", "answers"].summary


def test_another_revision_fails(connection: Connection, heads: list[str]) -> None:
    report = validate_after(connection, heads, "UPDATE alembic_version SET version_num = 'other'")

    assert report.findings["schema", "migrations are applied"] == Finding(
        "fail",
        "2 found",
        {"other": "applied", heads[0]: "expected"},
    )


def test_what_a_broken_off_migration_leaves_fails(
    connection: Connection,
    heads: list[str],
) -> None:
    report = validate_after(connection, heads, "CREATE TABLE _alembic_tmp_tasks (id INTEGER)")

    finding = report.findings["schema", "no table is left over"]
    assert (finding.status, list(finding.details)) == ("fail", ["_alembic_tmp_tasks"])


@pytest.mark.parametrize(
    ("index", "status"),
    [
        ("SELECT 1", "warn"),
        ("CREATE INDEX its_rows ON child (id, x, y)", "warn"),
        ("CREATE INDEX some_rows ON child (x, y) WHERE id > 9", "warn"),
        ("CREATE INDEX all_rows ON child (y, x)", "pass"),
        ("CREATE UNIQUE INDEX first_column ON child (x)", "pass"),
    ],
)
def test_a_foreign_key_without_an_index_is_worth_a_warning(
    connection: Connection,
    heads: list[str],
    index: str,
    status: str,
) -> None:
    report = validate_after(connection, heads, PARENT, CHILD, index)

    finding = report.findings["schema", "foreign keys have an index"]
    assert finding.status == status
    assert all("child." in name for name in finding.details)


def test_a_foreign_key_is_found_by_a_primary_key(connection: Connection, heads: list[str]) -> None:
    parent = "CREATE TABLE parent (id INTEGER PRIMARY KEY)"
    child = "CREATE TABLE child (id INTEGER PRIMARY KEY REFERENCES parent)"

    report = validate_after(connection, heads, parent, child)

    assert report.findings["schema", "foreign keys have an index"].status == "pass"


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ("(1, 1, 1)", "pass"),
        ("(1, 2, NULL)", "pass"),
        ("(1, NULL, 2)", "pass"),
        ("(1, 1, 2)", "fail"),
    ],
)
def test_a_row_without_a_parent_fails(
    connection: Connection,
    heads: list[str],
    values: str,
    status: str,
) -> None:
    unenforced = {
        "sqlite": "PRAGMA foreign_keys = OFF",
        "postgresql": "SET session_replication_role = replica",
    }

    report = validate_after(
        connection,
        heads,
        unenforced[connection.dialect.name],
        PARENT,
        CHILD,
        "INSERT INTO parent VALUES (1, 1)",
        f"INSERT INTO child VALUES {values}",
    )

    finding = report.findings["data", "foreign keys hold"]
    assert finding.status == status
    assert dict(finding.details) == (
        {"child.x, y": "1 rows without a parent"} if status == "fail" else {}
    )


def test_rows_of_a_table_that_refers_to_itself_are_found(
    connection: Connection,
    heads: list[str],
) -> None:
    table = "CREATE TABLE node (id INTEGER PRIMARY KEY, above INTEGER REFERENCES node)"
    rows = "INSERT INTO node VALUES (1, NULL), (2, 1)"

    report = validate_after(connection, heads, table, rows)

    assert report.findings["data", "foreign keys hold"].status == "pass"


def test_figures_above_their_limits_are_worth_a_warning(
    connection: Connection,
    heads: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("testdb.validation.SLOW", 0)
    monkeypatch.setattr("testdb.validation.LARGE", 1)

    report = validate(connection, heads=heads)

    slow = report.findings["performance", "trivial query"]
    large = report.findings["performance", "size"]
    assert (report.status, slow.status, large.status) == ("warn", "warn", "warn")
    assert (slow.details["limit"], large.details["limit"]) == (0, 1)
    assert slow.summary == f"{slow.details['ms']:,} ms"
    assert large.summary == f"{large.details['bytes']:,} bytes"


@pytest.mark.parametrize(("number", "comment"), [(0, "NULL"), (1, "'production'")])
def test_a_database_without_the_mark_fails(
    connection: Connection,
    heads: list[str],
    number: int,
    comment: str,
) -> None:
    name = connection.engine.url.database
    remark = {
        "sqlite": f"PRAGMA application_id = {number}",
        "postgresql": f'COMMENT ON DATABASE "{name}" IS {comment}',
    }

    report = validate_after(connection, heads, remark[connection.dialect.name])

    assert report.findings["isolation", "carries the mark"].status == "fail"


@pytest.mark.slow
async def test_an_open_transaction_fails(
    isolated_postgres: tuple[AsyncSession, AsyncIsolatedDatabase],
) -> None:
    session, config = isolated_postgres
    await session.execute(text("SELECT 'left open'"))

    report = await config.database.validate()

    finding = report.findings["isolation", "no other open transaction"]
    assert finding.status == "fail"
    assert list(finding.details.values()) == ["SELECT 'left open'"]


@pytest.mark.slow
async def test_an_open_transaction_on_another_database_does_not_matter(
    isolated_postgres: tuple[AsyncSession, AsyncIsolatedDatabase],
    with_isolated_postgres: AsyncOpenDatabase,
) -> None:
    session, _ = isolated_postgres
    await session.execute(text("SELECT 'left open'"))

    async with with_isolated_postgres("other") as (_, config):
        report = await config.database.validate()

    assert report.status == "pass", str(report)


@pytest.mark.slow
async def test_an_index_that_was_not_finished_fails(
    isolated_postgres: tuple[AsyncSession, AsyncIsolatedDatabase],
) -> None:
    _, config = isolated_postgres
    engine = create_engine(config.database.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE twins AS VALUES (1), (1)"))
        with pytest.raises(Exception, match="could not create unique index"):
            connection.execute(text("CREATE UNIQUE INDEX CONCURRENTLY broken ON twins (column1)"))
    engine.dispose()

    report = await config.database.validate()

    finding = report.findings["schema", "indexes are valid"]
    assert (finding.status, dict(finding.details)) == ("fail", {"broken": "of twins"})


@pytest.mark.slow
async def test_a_constraint_that_was_not_validated_fails(
    isolated_postgres: tuple[AsyncSession, AsyncIsolatedDatabase],
) -> None:
    _, config = isolated_postgres
    async with config.database.session() as session:
        statement = "ALTER TABLE users ADD CONSTRAINT later CHECK (name <> '') NOT VALID"
        await session.execute(text(statement))
        await session.commit()

    report = await config.database.validate()

    finding = report.findings["schema", "constraints are validated"]
    assert (finding.status, list(finding.details)) == ("fail", ["users.later"])


def test_a_damaged_sqlite_file_fails(
    tmp_path: Path,
    own_run: Run,
    heads: list[str],
) -> None:
    refused = ADD_USER.replace("one@example.com", "ONE@EXAMPLE.COM")
    pragma = "PRAGMA ignore_check_constraints"
    with (
        closing(SqliteFile(tmp_path, own_run.sqlite.image)) as file,
        file.connected() as connection,
    ):
        report = validate_after(connection, heads, f"{pragma} = ON", refused, f"{pragma} = OFF")

    assert report.findings["data", "file is intact"].details == {
        "problem 1": "CHECK constraint failed in users"
    }


async def test_checks_can_be_added(isolated_database: AsyncIsolatedDatabase) -> None:
    def has_users(connection: Connection) -> Finding:
        found = connection.scalar(text("SELECT count(*) FROM users"))
        return Finding("pass" if found else "warn", f"{found} users")

    report = await isolated_database.validate(("data", "has users", has_users))

    assert report.status == "warn"
    assert report.findings["data", "has users"].summary == "0 users"


async def test_an_added_check_replaces_one_of_the_same_name(
    isolated_database: AsyncIsolatedDatabase,
) -> None:
    report = await isolated_database.validate(("data", "rows", lambda _: Finding("warn", "mine")))

    assert report.findings["data", "rows"].summary == "mine"


async def test_an_error_of_the_database_fails_one_check_only(
    isolated_database: AsyncIsolatedDatabase,
) -> None:
    def mistaken(connection: Connection) -> Finding:
        connection.execute(text("SELECT * FROM nowhere"))
        return Finding("pass")

    report = await isolated_database.validate(("connection", "mistaken", mistaken))

    assert [name for (_, name), found in report.findings.items() if found.status != "pass"] == [
        "mistaken"
    ]
    assert "nowhere" in report.findings["connection", "mistaken"].summary


async def test_a_mistake_in_a_check_is_not_hidden(isolated_database: AsyncIsolatedDatabase) -> None:
    def mistaken(connection: Connection) -> Finding:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await isolated_database.validate(("data", "mistaken", mistaken))


def test_what_a_check_writes_is_rolled_back_and_nothing_else(
    connection: Connection,
    heads: list[str],
) -> None:
    def delete(connection: Connection) -> Finding:
        return Finding("pass", str(connection.execute(text("DELETE FROM users")).rowcount))

    connection.execute(text(ADD_USER))

    report = validate(connection, heads=heads, checks=[("data", "deletes", delete)])

    assert report.findings["data", "deletes"].summary == "1"
    assert connection.scalar(text("SELECT count(*) FROM users")) == 1


def test_no_transaction_is_left_open(connection: Connection, heads: list[str]) -> None:
    validate(connection, heads=heads)

    assert not connection.in_transaction()


REPORT = Report(
    {
        ("connection", "answers"): Finding("pass", "sqlite 3.50"),
        ("schema", "indexes"): Finding("warn", "1 found", {"tasks.user_id": "no index"}),
        ("data", "rows"): Finding("pass", "7 in 2 tables", {"users": 3, "tasks": 4}),
        ("performance", "size"): Finding("pass"),
        ("isolation", "mark"): Finding("fail", "not found", {"comment": None}),
    }
)


def test_the_report_is_readable() -> None:
    assert str(REPORT).splitlines() == [
        "database validation: fail",
        "pass  connection   answers  sqlite 3.50",
        "warn  schema       indexes  1 found",
        "      tasks.user_id: no index",
        "pass  data         rows     7 in 2 tables",
        "pass  performance  size",
        "fail  isolation    mark     not found",
        "      comment: None",
    ]
