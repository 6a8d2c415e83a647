"""A batch on SQLite rebuilds a table and keeps all of it that the batch does not change."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import BatchOperations, Operations
from migrator import Exit
from migrator.batch import without_warnings

from tests.migrator.project import Project

Change = Callable[[BatchOperations], object]

TABLE = "CREATE TABLE tasks (id INTEGER PRIMARY KEY, title TEXT, done INT, room INT)"
PARENTS = "CREATE TABLE rooms (id INTEGER PRIMARY KEY, code TEXT UNIQUE)"


def note(batch: BatchOperations) -> None:
    """Add a column, which on its own would not need a rebuild."""
    batch.add_column(sa.Column("note", sa.Text))


def rename(batch: BatchOperations) -> None:
    """Rename a column."""
    batch.alter_column("title", new_column_name="name")


def drop(batch: BatchOperations) -> None:
    """Drop a column."""
    batch.drop_column("room")


def require(batch: BatchOperations) -> None:
    """Make a column NOT NULL."""
    batch.alter_column("title", existing_type=sa.Text(), nullable=False)


def drop_constraints(batch: BatchOperations) -> None:
    """Drop constraints by their names."""
    for name in ("u", "r", "c", "v"):
        batch.drop_constraint(name)


def grow(batch: BatchOperations) -> None:
    """Change the members of an enum that a CHECK guards."""
    old, new = (
        sa.Enum("a", it, name="k", create_constraint=True, native_enum=False) for it in ("b", "bc")
    )
    batch.alter_column("title", existing_type=old, type_=new)


def rename_check(batch: BatchOperations) -> None:
    """Give a constraint another name."""
    batch.drop_constraint("c")
    batch.create_check_constraint("d", "b > 0")


def replace_index(batch: BatchOperations) -> None:
    """Drop an index and create another one of its name."""
    batch.drop_index("i")
    batch.create_index("i", ["done"])


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    """Yield a connection to an empty database."""
    with sa.create_engine("sqlite://").connect() as opened:
        yield opened


def run(connection: sa.Connection, *statements: str) -> None:
    """Execute statements."""
    for statement in statements:
        connection.exec_driver_sql(statement)


def rebuild(connection: sa.Connection, *changes: Change) -> None:
    """Rebuild the table `tasks`."""
    operations = Operations(MigrationContext.configure(connection))
    with without_warnings(), operations.batch_alter_table("tasks", recreate="always") as batch:
        for change in changes:
            change(batch)


def schema(connection: sa.Connection) -> dict[str, str]:
    """Return the SQL of everything by name, without blanks and quotes."""
    rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: "".join(sql.replace('"', "").split()) for name, sql in rows}


KEPT = {
    "trigger": [TABLE, "CREATE TRIGGER t AFTER INSERT ON tasks BEGIN SELECT ':x', '%'; END"],
    "trigger of another table": [
        TABLE,
        PARENTS,
        "CREATE TRIGGER t AFTER INSERT ON rooms BEGIN INSERT INTO tasks (title) VALUES ('x'); END",
    ],
    "view": [TABLE, "CREATE VIEW v AS SELECT title FROM tasks"],
    "view with a trigger": [
        TABLE,
        "CREATE VIEW v AS SELECT title FROM tasks",
        "CREATE TRIGGER t INSTEAD OF DELETE ON v BEGIN DELETE FROM tasks; END",
    ],
    "index": [TABLE, "CREATE INDEX i ON tasks (title)"],
    "descending index": [TABLE, "CREATE INDEX i ON tasks (title, done DESC)"],
    "partial index": [TABLE, "CREATE UNIQUE INDEX i ON tasks (title) WHERE done > 0"],
    "index on an expression": [TABLE, "CREATE UNIQUE INDEX i ON tasks (lower(title))"],
    "index with a collation": [TABLE, "CREATE INDEX i ON tasks (title COLLATE NOCASE)"],
    "autoincrement": ["CREATE TABLE tasks (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT)"],
    "without rowid": ["CREATE TABLE tasks (id TEXT PRIMARY KEY, title TEXT) WITHOUT ROWID"],
    "strict": ["CREATE TABLE tasks (id INT PRIMARY KEY, title TEXT, x ANY) STRICT"],
    "both": ["CREATE TABLE tasks (id INT PRIMARY KEY, title TEXT) STRICT, WITHOUT ROWID"],
    "collation": ["CREATE TABLE tasks (id INTEGER PRIMARY KEY, title TEXT COLLATE NOCASE)"],
    "unnamed check": ["CREATE TABLE tasks (title TEXT, done INT, CHECK (done IN (0, 1)))"],
    "check in a column": ["CREATE TABLE tasks (title TEXT CHECK (title <> ':x, )'), done INT)"],
    "named check": ["CREATE TABLE tasks (title TEXT, CONSTRAINT ck CHECK (length(title) > 1))"],
    "unique in a column": ["CREATE TABLE tasks (title TEXT UNIQUE ON CONFLICT IGNORE, done INT)"],
    "unique": ["CREATE TABLE tasks (title TEXT, done INT, UNIQUE (title COLLATE NOCASE, done))"],
    "conflicts": ["CREATE TABLE tasks (title TEXT NOT NULL ON CONFLICT REPLACE DEFAULT 'x')"],
    "primary key": [
        "CREATE TABLE tasks (a INT, title TEXT, CONSTRAINT pk PRIMARY KEY (title, a DESC))"
    ],
    "virtual column": [
        "CREATE TABLE tasks (title TEXT, twice AS (title || 1), x AS (length(title)) STORED)",
        "CREATE INDEX i ON tasks (twice)",
    ],
    "types": [
        (
            "CREATE TABLE tasks (a INT, b MONEY, c, d VARCHAR(20), title NVARCHAR(30), e DOUBLE"
            " PRECISION, f DECIMAL(10, 5), g JSON, h BLOB)"
        )
    ],
    "defaults": [
        (
            "CREATE TABLE tasks (title TEXT DEFAULT 'a, (b', b INT DEFAULT -1, c DEFAULT"
            " CURRENT_TIMESTAMP, d DEFAULT (1 + 2), e DEFAULT NULL, f BLOB DEFAULT x'ab')"
        )
    ],
    "foreign key": [
        PARENTS,
        (
            "CREATE TABLE tasks (title TEXT REFERENCES rooms (code) ON DELETE SET NULL"
            " ON UPDATE SET DEFAULT NOT DEFERRABLE NOT NULL, room INT, CONSTRAINT fk FOREIGN KEY"
            " (room) REFERENCES rooms DEFERRABLE INITIALLY DEFERRED)"
        ),
    ],
    "key to itself": ["CREATE TABLE tasks (id INTEGER PRIMARY KEY, up INT REFERENCES tasks (id))"],
    "names": [
        (
            'CREATE TABLE tasks (title TEXT, "from" TEXT, [to] TEXT, `or more` TEXT, "a""b" INT,'
            ' CHECK ("from" <> [to]), UNIQUE (`or more`))'
        )
    ],
    "comments": ["CREATE TABLE tasks (title TEXT, -- a, b\n done INT /* ) */, x INT)"],
}


@pytest.mark.parametrize("statements", KEPT.values(), ids=KEPT)
def test_what_a_batch_does_not_change_stays(
    connection: sa.Connection, statements: list[str]
) -> None:
    run(connection, *statements)
    before = schema(connection)
    comments = {"--a,bdone": "done", "/*)*/": ""}
    for comment, text in comments.items():
        before["tasks"] = before["tasks"].replace(comment, text)

    rebuild(connection)

    assert schema(connection) == before


CHANGED: dict[str, tuple[str, Change, str]] = {
    "added column": (
        "a INT COLLATE RTRIM, title TEXT",
        note,
        "a INT COLLATE RTRIM, title TEXT, note TEXT",
    ),
    "required column": (
        "title TEXT COLLATE NOCASE CHECK (title > '') UNIQUE, b DEFAULT (1) CHECK (b)",
        require,
        "title TEXT COLLATE NOCASE CHECK (title > '') UNIQUE NOT NULL, b DEFAULT (1) CHECK (b)",
    ),
    "renamed column": (
        (
            "title TEXT COLLATE NOCASE UNIQUE, done INT, room TEXT REFERENCES title (title),"
            " twice AS (title || title), CHECK (title <> 'title' AND title(title))"
        ),
        rename,
        (
            "name TEXT COLLATE NOCASE UNIQUE, done INT, room TEXT REFERENCES title (title),"
            ' twice AS ("name" || "name"), CHECK ("name" <> \'title\' AND title("name"))'
        ),
    ),
    "dropped column": (
        "room INT REFERENCES rooms, title TEXT UNIQUE, UNIQUE (room, title), CHECK (title > 'a')",
        drop,
        "title TEXT UNIQUE, CHECK (title > 'a')",
    ),
    "other type": (
        "title VARCHAR(5) COLLATE NOCASE NOT NULL ON CONFLICT FAIL DEFAULT 'x', b INT",
        lambda batch: batch.alter_column("title", type_=sa.Text()),
        "title TEXT COLLATE NOCASE NOT NULL ON CONFLICT FAIL DEFAULT 'x', b INT",
    ),
    "other default": (
        "title TEXT COLLATE NOCASE DEFAULT 'x' NOT NULL",
        lambda batch: batch.alter_column("title", server_default=None),
        "title TEXT COLLATE NOCASE NOT NULL",
    ),
    "dropped constraints": (
        (
            "title TEXT, b INT, CONSTRAINT r FOREIGN KEY (b) REFERENCES rooms (id),"
            " CONSTRAINT u UNIQUE (title) ON CONFLICT FAIL, CONSTRAINT c CHECK (b > 1),"
            " CONSTRAINT v UNIQUE (b, title), CHECK (b > 0)"
        ),
        drop_constraints,
        "title TEXT, b INT, CHECK (b > 0)",
    ),
    "grown enum": (
        "title VARCHAR(1) COLLATE NOCASE, CONSTRAINT k CHECK (title IN ('a', 'b')), CHECK (1)",
        grow,
        "title VARCHAR(2) COLLATE NOCASE, CHECK (1), CONSTRAINT k CHECK (title IN ('a', 'bc'))",
    ),
    "renamed constraint": (
        "title TEXT COLLATE NOCASE, b INT, CONSTRAINT c CHECK (b > 0)",
        rename_check,
        "title TEXT COLLATE NOCASE, b INT, CONSTRAINT d CHECK (b > 0)",
    ),
    "added constraint": (
        "title TEXT COLLATE NOCASE, b INT, CHECK (b > 0)",
        lambda batch: batch.create_unique_constraint("u", ["b"]),
        "title TEXT COLLATE NOCASE, b INT, CHECK (b > 0), CONSTRAINT u UNIQUE (b)",
    ),
}


@pytest.mark.parametrize(("columns", "change", "expected"), CHANGED.values(), ids=CHANGED)
def test_what_a_batch_changes_changes_and_nothing_else(
    connection: sa.Connection, columns: str, change: Change, expected: str
) -> None:
    if "title(" in columns:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.create_function("title", 1, str, deterministic=True)
    run(connection, PARENTS, "CREATE TABLE title (title TEXT)", f"CREATE TABLE tasks ({columns})")

    rebuild(connection, change)

    wanted = f"CREATE TABLE tasks ({expected})"
    assert schema(connection)["tasks"] == "".join(wanted.replace('"', "").split())


def test_rows_and_their_numbers_stay(connection: sa.Connection) -> None:
    run(
        connection,
        "CREATE TABLE tasks (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT)",
        "INSERT INTO tasks (title) VALUES ('a'), ('b'), ('c')",
        "DELETE FROM tasks WHERE title <> 'a'",
    )

    rebuild(connection, require)

    run(connection, "INSERT INTO tasks (title) VALUES ('d')")
    assert connection.exec_driver_sql("SELECT * FROM tasks").all() == [(1, "a"), (4, "d")]


def test_indexes_follow_a_renamed_column_and_go_with_a_dropped_one(
    connection: sa.Connection,
) -> None:
    run(
        connection,
        TABLE,
        "CREATE INDEX one ON tasks (title DESC) WHERE title > 'title'",
        "CREATE INDEX two ON tasks (lower(room))",
    )

    rebuild(connection, rename, drop)

    found = schema(connection)
    assert found.keys() == {"tasks", "one"}
    assert found["one"] == "CREATEINDEXoneONtasks(nameDESC)WHEREname>'title'"


def test_an_index_that_a_batch_replaces_is_replaced(connection: sa.Connection) -> None:
    run(connection, TABLE, "CREATE INDEX i ON tasks (title DESC)")

    rebuild(connection, note, replace_index)

    assert schema(connection)["i"] == "CREATEINDEXiONtasks(done)"


@pytest.mark.parametrize(
    ("statement", "change"),
    [
        (
            "CREATE TRIGGER t AFTER INSERT ON tasks BEGIN DELETE FROM tasks WHERE title = ''; END",
            rename,
        ),
        ("CREATE TRIGGER t AFTER INSERT ON rooms BEGIN UPDATE tasks SET room = 1; END", drop),
        ("CREATE VIEW v AS SELECT room FROM tasks", drop),
        ("CREATE VIEW v AS SELECT title FROM tasks", rename),
    ],
)
def test_what_cannot_be_kept_fails_the_run(
    connection: sa.Connection, statement: str, change: Change
) -> None:
    run(connection, TABLE, PARENTS, statement)

    with pytest.raises(RuntimeError, match=r"(trigger t|view v): no such column: \w+, after"):
        rebuild(connection, change)


def test_a_run_that_would_break_a_trigger_is_rolled_back(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    trigger = "CREATE TRIGGER t AFTER UPDATE OF name ON authors BEGIN DELETE FROM books; END"
    sqlite_project.write("trigger", f"op.execute({trigger!r})")
    before = sqlite_project.upgraded().catalogue()
    drop = "with op.batch_alter_table('books') as batch:\n    batch.drop_column('price')"
    sqlite_project.write("price", drop)
    broken = drop.replace("books", "authors").replace(
        "drop_column('price')", "alter_column('name', new_column_name='x')"
    )
    sqlite_project.write("broken", broken)

    code = sqlite_project.run("upgrade")

    assert code == Exit.FAILED
    assert "trigger t: no such column: name, after the batch on authors" in capsys.readouterr().err
    assert sqlite_project.catalogue() == before


def test_a_check_on_a_dropped_column_fails_the_run(connection: sa.Connection) -> None:
    run(connection, "CREATE TABLE tasks (title TEXT, room INT, CHECK (room > 0))")

    with pytest.raises(sa.exc.OperationalError, match="no such column: room"):
        rebuild(connection, drop)


def test_a_virtual_table_is_left_alone(connection: sa.Connection) -> None:
    run(connection, "CREATE VIRTUAL TABLE tasks USING fts5 (title)")
    before = schema(connection)

    with pytest.raises(RuntimeError, match="tasks is a virtual table"):
        rebuild(connection, note)

    assert schema(connection) == before


def test_unnamed_constraints_get_the_names_of_a_convention(connection: sa.Connection) -> None:
    run(connection, PARENTS, "CREATE TABLE tasks (title TEXT UNIQUE, b INT REFERENCES rooms (id))")
    operations = Operations(MigrationContext.configure(connection))
    names = {"uq": "uq_%(table_name)s_%(column_0_name)s", "fk": "fk_%(column_0_name)s"}

    with operations.batch_alter_table("tasks", naming_convention=names) as batch:
        batch.drop_constraint("uq_tasks_title", type_="unique")

    assert schema(connection)["tasks"] == "".join(
        "CREATE TABLE tasks (title TEXT, b INT, CONSTRAINT fk_b FOREIGN KEY(b) REFERENCES rooms"
        " (id))".split()
    )


@pytest.mark.parametrize("condition", ["", "IF NOT EXISTS "])
def test_a_revision_may_create_itself_what_a_batch_has_kept(
    connection: sa.Connection, condition: str
) -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON tasks BEGIN SELECT 1; END"
    indexes = [f"CREATE INDEX {name} ON tasks (lower(title))" for name in "ij"]
    run(connection, TABLE, trigger, *indexes)
    operations = Operations(MigrationContext.configure(connection))
    with without_warnings(), operations.batch_alter_table("tasks") as batch:
        require(batch)

    operations.execute(trigger.replace("1", "2").replace("TRIGGER ", f"TRIGGER {condition}"))
    operations.execute(f"CREATE INDEX {condition}i ON tasks (upper(title))")
    operations.create_index("j", "tasks", [sa.text("upper(title)")], if_not_exists=condition != "")

    found = schema(connection)
    assert "SELECT2" in found["t"]
    assert "upper" in found["i"]
    assert "upper" in found["j"]


def test_what_a_batch_has_kept_is_there_for_the_next_revision(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = "with op.batch_alter_table('books') as batch:\n    batch.drop_column('price')"
    sqlite_project.write("batch", batch)
    index = 'op.create_index("ix_books_author_id", "books", ["title"])'
    sqlite_project.write("index", index)

    code = sqlite_project.run("upgrade")

    assert code == Exit.FAILED
    assert "index ix_books_author_id already exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tasks", "others"),
    [
        ("id INTEGER PRIMARY KEY, title TEXT UNIQUE, up TEXT REFERENCES tasks (title)", []),
        (
            (
                "id INTEGER PRIMARY KEY, title TEXT UNIQUE, up TEXT,"
                " CONSTRAINT fk FOREIGN KEY (up) REFERENCES tasks (title) ON DELETE CASCADE"
            ),
            [],
        ),
        (
            "id INTEGER PRIMARY KEY, title TEXT UNIQUE, up TEXT",
            [
                "CREATE TABLE kids (title TEXT REFERENCES Tasks(title))",
                "CREATE TABLE others (title TEXT UNIQUE, x TEXT REFERENCES others (title))",
            ],
        ),
    ],
    ids=["itself", "itself, named", "another table"],
)
def test_keys_follow_a_renamed_column(
    connection: sa.Connection, tasks: str, others: list[str]
) -> None:
    run(connection, "PRAGMA foreign_keys = OFF", f"CREATE TABLE tasks ({tasks})", *others)
    run(connection, "INSERT INTO tasks VALUES (1, 'a', NULL), (2, 'b', 'a')")
    before = schema(connection)

    rebuild(connection, rename)

    assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    after = schema(connection)
    if others:
        assert after["kids"] == before["kids"].replace("Tasks(title)", "Tasks(name)")
        assert after["others"] == before["others"]
    else:
        wanted = before["tasks"].replace("title", "name")
        assert after["tasks"] == wanted


def test_a_table_that_the_revision_describes_is_made_as_described(
    connection: sa.Connection,
) -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON tasks BEGIN SELECT 1; END"
    run(connection, "CREATE TABLE tasks (id INTEGER PRIMARY KEY, title INT CHECK (title))", trigger)
    table = sa.Table(
        "tasks", sa.MetaData(), sa.Column("id", sa.Integer), sa.Column("title", sa.Text)
    )
    operations = Operations(MigrationContext.configure(connection))

    with operations.batch_alter_table("tasks", copy_from=table, recreate="always"):
        pass

    found = schema(connection)
    assert found == {
        "tasks": "CREATETABLEtasks(idINTEGER,titleTEXT)",
        "t": "".join(trigger.split()),
    }
