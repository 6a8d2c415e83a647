"""Rows keep their values through every revision, in tables whose rows are made as well."""

from contextlib import nullcontext

import pytest
import sqlalchemy as sa
from migrator import testing
from migrator.testing.seeds import Seeds
from migrator.testing.values import find_changes, read_values
from sqlalchemy import event

from tests.migrator.project import Project

RENAME = ("RENAME COLUMN v TO w", "RENAME COLUMN w TO v")
ENUM = "CREATE TYPE e AS ENUM ('a', 'Mäde')"
UTC = "ALTER COLUMN v TYPE timestamp USING v AT TIME ZONE 'UTC'"


def retyped(kind: str, using: str = "v") -> str:
    """Return the part of an ALTER TABLE that changes the type of the column."""
    return f"ALTER COLUMN v TYPE {kind} USING {using}::{kind}"


# The definition of a column, an alteration, the one that undoes it, and whether it loses values.
ALTERATIONS = [
    ("varchar(80)", *RENAME, False),
    ("int", retyped("bigint"), retyped("int"), False),
    ("int", retyped("text"), retyped("int"), False),
    ("numeric(10, 2)", retyped("numeric(10, 4)"), retyped("numeric(10, 2)"), False),
    ("numeric(10, 2)", retyped("numeric(10, 1)"), retyped("numeric(10, 2)"), True),
    ("double precision", retyped("numeric"), retyped("double precision"), False),
    ("double precision", retyped("real"), retyped("double precision"), True),
    ("double precision", retyped("int"), retyped("double precision"), True),
    ("varchar(80)", retyped("text"), retyped("varchar(80)"), False),
    ("varchar(80)", retyped("varchar(20)"), retyped("varchar(80)"), True),
    ("text DEFAULT 'a'", "ALTER COLUMN v SET DEFAULT 'b'", "ALTER COLUMN v DROP DEFAULT", False),
    (
        "char(9) DEFAULT '007'",
        f"ALTER COLUMN v DROP DEFAULT, {retyped('int')}",
        retyped("char(9)"),
        True,
    ),
    ("text DEFAULT 'a'", f"ALTER COLUMN v DROP DEFAULT, {retyped('e')}", retyped("text"), False),
    ("text[]", retyped("varchar(80)[]"), retyped("text[]"), False),
    ("json", retyped("jsonb"), retyped("json"), False),
    ("json", retyped("text"), retyped("json"), False),
    ("boolean", retyped("int"), retyped("boolean"), False),
    ("timestamptz", UTC, retyped("timestamptz"), False),
    ("timestamp", retyped("date"), retyped("timestamp"), True),
    ("timestamp", retyped("timestamp(0)"), retyped("timestamp"), True),
    ("date", retyped("timestamp"), retyped("date"), False),
    (
        "bytea",
        "ALTER COLUMN v TYPE text USING encode(v, 'hex')",
        retyped("bytea", "decode(v, 'hex')"),
        True,
    ),
    ("text", "DROP COLUMN v", "ADD COLUMN v text", True),
    ("uuid", retyped("text"), retyped("uuid"), False),
    ("int", "ADD COLUMN w timestamptz DEFAULT clock_timestamp()", "DROP COLUMN w", False),
]


def test_types_may_change_as_long_as_values_say_the_same(postgresql_url: sa.URL) -> None:
    with sa.create_engine(postgresql_url, poolclass=sa.NullPool).connect() as connection:
        connection.exec_driver_sql("SET TIME ZONE 'UTC'")
        connection.exec_driver_sql(ENUM)
        for number, (kind, *_) in enumerate(ALTERATIONS):
            connection.exec_driver_sql(f"CREATE TABLE t{number} (id int PRIMARY KEY, v {kind})")
        given = [
            f"INSERT INTO t{number} (id) VALUES (1)"  # noqa: S608  # a constant
            for number, (kind, *_) in enumerate(ALTERATIONS)
            if "DEFAULT" in kind
        ]
        Seeds({"": given}).insert(connection, "")
        before = read_values(connection)
        changes: list[str] = []
        for step in (1, 2):
            for number, alteration in enumerate(ALTERATIONS):
                connection.exec_driver_sql(f"ALTER TABLE t{number} {alteration[step]}")
            connection.commit()
            changes += find_changes(before, read_values(connection))

    found = {int(change.partition(".")[0].removeprefix("t")) for change in changes}
    expected = [it for it in ALTERATIONS if it[3]]
    assert [ALTERATIONS[number] for number in sorted(found)] == expected


CHANGES = {
    "a value": 'op.execute("UPDATE books SET title = upper(title)")',
    "a value of a made row": 'op.execute("UPDATE books SET price = price + 1")',
    "rows": "op.execute('DELETE FROM books')",
    "more rows": (
        "op.execute('INSERT INTO books (id, author_id, title, kind)"
        " SELECT id + (SELECT max(id) FROM books), author_id, title, kind FROM books')"
    ),
}


@pytest.mark.parametrize(
    ("direction", "change"), [*(("upgrade", it) for it in CHANGES), ("downgrade", "a value")]
)
def test_a_revision_that_changes_values_fails(
    project: Project, direction: str, change: str
) -> None:
    code = CHANGES[change]
    project.write("change", *((code, "pass") if direction == "upgrade" else ("pass", code)))
    target = project.database

    with pytest.raises(AssertionError, match=f'change, {direction}: books.* loses = "..."'):
        testing.test_rows_survive_every_revision(target, target.url, {})


@pytest.mark.parametrize(("reason", "passes"), [("' '", False), ("'capitals'", True)])
def test_a_revision_may_say_that_it_loses_values(
    sqlite_project: Project, reason: str, *, passes: bool
) -> None:
    change = CHANGES["a value"]
    path = sqlite_project.write("change", change, change.replace("upper", "lower"))
    path.write_text(f"{path.read_text()}loses = {reason}\n")
    target = sqlite_project.database

    with nullcontext() if passes else pytest.raises(AssertionError, match="change, upgrade"):
        testing.test_rows_survive_every_revision(target, target.url, {})
    target.downgrade("base")
    with nullcontext() if passes else pytest.raises(AssertionError, match="change, downgrade"):
        testing.test_every_downgrade_runs_with_rows(target, target.url, {})


# What a row has to satisfy, in tables that refer to each other. Both engines take it.
CONSTRAINED = [
    """
    CREATE TABLE users (
        id varchar(36) PRIMARY KEY, email varchar(255) UNIQUE CHECK (email = lower(email)),
        name varchar(100) NOT NULL CHECK (length(name) BETWEEN 3 AND 9),
        code char(64) NOT NULL CONSTRAINT code_length CHECK (length(code) = 64),
        boss varchar(36) REFERENCES users (id)
    )
    """,
    """
    CREATE TABLE links (
        source varchar(36) NOT NULL REFERENCES users (id),
        target varchar(36) NOT NULL REFERENCES users (id),
        strength double precision NOT NULL CHECK (strength BETWEEN 0 AND 1),
        priority smallint NOT NULL CHECK (priority IN (1, 2, 3)),
        PRIMARY KEY (source, target), CHECK (source <> target)
    )
    """,
    """
    CREATE TABLE tasks (
        id integer PRIMARY KEY, source varchar(36) NOT NULL, target varchar(36) NOT NULL,
        status varchar(20) DEFAULT 'pending' NOT NULL,
        done_at timestamp, "odd % name" text, total integer GENERATED ALWAYS AS (id + 1) STORED,
        FOREIGN KEY (source, target) REFERENCES links (source, target), UNIQUE (source, target),
        CONSTRAINT known_status CHECK (status IN ('pending', 'done')),
        CONSTRAINT finished CHECK ((status = 'done') = (done_at IS NOT NULL))
    )
    """,
    "CREATE TABLE settings (id integer PRIMARY KEY CHECK (id = 1), dark boolean NOT NULL)",
    "CREATE TABLE trees (id integer PRIMARY KEY, parent integer NOT NULL REFERENCES trees (id))",
]
COLUMNS = 19


def test_every_table_gets_rows_that_its_constraints_allow(project: Project) -> None:
    target = project.database
    with target.only_run() as connection:
        for statement in CONSTRAINED:
            connection.execute(sa.text(statement))

        Seeds({}).insert(connection, "0001")

        values = read_values(connection)
    filled = {
        f"{name}.{column}"
        for name, table in values.items()
        for column in table.columns
        if any(row[column] is not None for row in table.rows)
    }
    assert len(filled) == sum(len(table.columns) for table in values.values()) == COLUMNS
    assert {name: len(table.rows) for name, table in values.items()} == {
        "users": 2, "links": 2, "tasks": 2, "settings": 1, "trees": 2
    }  # fmt: skip
    assert target.faults() == []


def test_a_table_that_refers_to_two_rows_of_another_gets_rows(project: Project) -> None:
    user = f"INSERT INTO users VALUES ('1', 'me@example.com', 'Ada', '{'x' * 64}', '1')"  # noqa: S608
    with project.database.only_run() as connection:
        for statement in CONSTRAINED[:2]:
            connection.execute(sa.text(statement))
        statements: list[str] = []
        event.listen(connection, "before_cursor_execute", lambda *it: statements.append(it[2]))

        Seeds({"0001": [user]}).insert(connection, "0001")

        assert read_values(connection)["links"].is_covered
        # Made for it at once, not after all combinations with one row have failed.
        assert sum("INSERT INTO links" in it for it in statements) < 20


CIRCLE = (
    "CREATE TABLE shelves (id integer PRIMARY KEY, open integer)",
    "CREATE TABLE books (id integer PRIMARY KEY, shelf integer NOT NULL REFERENCES shelves (id))",
    "ALTER TABLE shelves ADD FOREIGN KEY (open) REFERENCES books (id)",
)


def test_tables_that_refer_to_each_other_get_rows(postgresql_project: Project) -> None:
    with postgresql_project.database.only_run() as connection:
        for statement in CIRCLE:
            connection.exec_driver_sql(statement)

        Seeds({}).insert(connection, "0001")

        values = read_values(connection)
        assert values["books"].is_covered
        assert values["shelves"].is_covered


def test_a_table_without_rows_is_named(project: Project) -> None:
    with project.database.only_run() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id integer PRIMARY KEY CHECK (id * id = 1521))")

        with pytest.warns(UserWarning, match="t has no rows.*0007.*INSERT INTO t"):
            Seeds({}).insert(connection, "0007")


def test_rows_of_the_project_are_enough_where_they_fill_each_column(
    sqlite_project: Project,
) -> None:
    with sqlite_project.database.only_run() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id integer PRIMARY KEY, v text)")
        seeds = Seeds(
            {
                "1": ["INSERT INTO t VALUES (1, 'a')"],
                "3": [lambda on: on.execute(sa.text("UPDATE t SET w = 'given'"))],
            }
        )

        for revision in ("1", "2", "3"):
            seeds.insert(connection, revision)
            if revision == "1":
                full = read_values(connection)["t"].rows
                connection.exec_driver_sql("ALTER TABLE t ADD COLUMN w text")
        made = read_values(connection)["t"].rows

    assert full == [{"id": "1", "v": "a"}]
    assert [row["v"] for row in made] == ["a", "a"]
