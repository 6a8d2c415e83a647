"""A database that has tables and no revision is recognised, or refused with what differs."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa
from migrator import Exit

from tests.migrator.project import COMMANDS, HEAD, Project
from tests.migrator.sample.models import Base
from tests.running import LIMIT

ADD_TAGS = """
op.create_table("tags", sa.Column("id", sa.Integer, primary_key=True))
op.execute("INSERT INTO tags VALUES (1), (2), (3)")
"""


def forget(project: Project) -> Project:
    """Delete what a database knows about its revision."""
    project.execute("DROP TABLE alembic_version", "DROP TABLE IF EXISTS migration_history")
    return project


def printed_sql(shown: str) -> str:
    """Return the SQL that a refusal shows, as a person would copy it."""
    return shown.partition("read it before you execute it:\n")[2].partition("\nNext: ")[0]


def statements(shown: str) -> list[str]:
    """Return the SQL that a refusal shows."""
    sql = printed_sql(shown).removeprefix(".bail on\n")
    return [it for it in re.split(r";\n", sql + "\n") if it.strip()]


def reconcile(project: Project, shown: str) -> None:
    """Execute the SQL that a refusal shows."""
    engine = sa.create_engine(
        project.database.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        for statement in statements(shown):
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize("revision", ["0001", HEAD])
def test_the_revision_that_a_database_equals_is_recorded(
    project: Project, revision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project.database.upgrade(revision)
    forget(project)
    before = project.catalogue()

    refused = project.run("upgrade")
    project.run("status")
    code = project.run("upgrade", "--adopt")

    shown = capsys.readouterr()
    assert (refused, code) == (Exit.REFUSED, Exit.DONE), shown
    assert "scripts/migrate.sh --adopt" in shown.err
    assert "Tables of these migrations without a revision: authors" in shown.out
    assert f"Adopted: the database equals {revision}" in shown.out
    assert project.catalogue() == before
    found = project.database.status()
    assert found.revisions == (revision,)
    assert [it.direction for it in found.history.values()] == ["adopted"]
    assert project.run("upgrade") == Exit.DONE


# Statements, and the line of the refusal that says what they did.
DRIFT = {
    "ALTER TABLE books ADD COLUMN isbn VARCHAR(20)": r"unexpected: column \S*books.isbn",
    "ALTER TABLE books DROP COLUMN price": r"missing: column \S*books.price: numeric",
    "DROP INDEX ix_books_author_id": r"missing: index \S*ix_books_author_id",
    "CREATE INDEX ix_books_title ON books (title)": r"unexpected: index \S*ix_books_title",
}
POSTGRESQL_DRIFT = {
    "ALTER TABLE books ALTER COLUMN title TYPE text": "books.title: text NOT NULL → character",
    "ALTER TABLE authors ALTER COLUMN is_active DROP DEFAULT": "→ boolean DEFAULT true NOT NULL",
    "ALTER TABLE authors ALTER COLUMN email DROP NOT NULL": r"email: character varying\(255\) →",
    "ALTER TABLE authors DROP CONSTRAINT ck_authors_name_length": "missing: constraint ck_authors",
    "ALTER TABLE books RENAME CONSTRAINT pk_books TO books_pkey": "name should be pk_books",
    "ALTER TABLE books DROP CONSTRAINT fk_books_author_id_authors": "missing: foreign key fk_books",
    "DROP FUNCTION tidy_title() CASCADE": "missing: trigger tidy_title on public.books",
    "ALTER TABLE books ADD CONSTRAINT ck CHECK (id > 0) NOT VALID": "unexpected: constraint ck on",
    "ALTER TYPE kind RENAME VALUE 'essay' TO 'poem'; ALTER TYPE kind ADD VALUE 'essay'": (
        "different: type public.kind: 'novel', 'poem', 'essay' → 'novel', 'essay'"
    ),
}
SQLITE_DRIFT = {
    'ALTER TABLE authors RENAME COLUMN "is_active" TO active': "missing: column authors.is_active",
    "ALTER TABLE books ADD COLUMN rank INTEGER CHECK (rank > 0)": "constraint books.check",
}


def test_a_database_that_differs_is_refused_and_can_be_reconciled(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    is_postgresql = project.dialect == "postgresql"
    drift = DRIFT | (POSTGRESQL_DRIFT if is_postgresql else SQLITE_DRIFT)
    forget(project.upgraded()).execute(*drift)
    drifted = project.catalogue()

    refused = project.run("upgrade", "--adopt", HEAD)

    shown = capsys.readouterr().err
    assert refused == Exit.REFUSED
    assert f"does not equal {HEAD}" in shown
    assert [it for it in drift.values() if not re.search(it, shown)] == [], shown
    assert project.catalogue() == drifted
    reconcile(project, shown)
    project.run("upgrade", "--adopt", HEAD)
    again = capsys.readouterr().err
    assert (is_postgresql and "-- By hand: make type public.kind" in again) or not again, again


# Without the constraints that the revisions give it.
LOOSE = """
CREATE TABLE authors (
    id INTEGER NOT NULL, email VARCHAR(255), name VARCHAR(100), is_active BOOLEAN DEFAULT 1,
    joined_at DATETIME DEFAULT CURRENT_TIMESTAMP, settings JSON DEFAULT '{}',
    CONSTRAINT pk_authors PRIMARY KEY (id)
)
"""


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="there is no program sqlite3")
@pytest.mark.parametrize("first_line", [".bail on\n", ""], ids=["stops", "goes on"])
@pytest.mark.parametrize("email", ["NULL", "'a@example.com'", "'b@example.com'"])
def test_the_printed_sql_loses_no_row_that_does_not_fit(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str], email: str, first_line: str
) -> None:
    project = forget(sqlite_project.upgraded())
    project.execute("DROP TABLE authors", LOOSE, "ALTER TABLE books ADD COLUMN isbn TEXT")
    # Each violates one of NOT NULL, UNIQUE and CHECK.
    name = "''" if "b@" in email else "'Ben'"
    project.execute(
        "INSERT INTO authors (id, email, name) VALUES (1, 'a@example.com', 'Ada')",
        f"INSERT INTO authors (id, email, name) VALUES (2, {email}, {name})",  # noqa: S608  # constants
        "INSERT INTO books (id, author_id, title, kind) VALUES (1, 2, 'T', 'novel')",
    )
    project.run("upgrade", "--adopt", HEAD)
    sql = printed_sql(capsys.readouterr().err)
    program = ["sqlite3", str(project.database.url.database)]

    def pipe(sql: str) -> int:
        return subprocess.run(program, input=sql, text=True, check=False).returncode

    failed = pipe(first_line + sql.removeprefix(".bail on\n"))
    kept = project.query("SELECT count(*) FROM authors"), project.query("SELECT id FROM books")
    project.execute("UPDATE authors SET email = 'c@example.com', name = 'Ben' WHERE id = 2")
    project.run("upgrade", "--adopt", HEAD)
    rest = pipe(printed_sql(capsys.readouterr().err))
    code = project.run("upgrade", "--adopt", HEAD)

    assert sql.startswith(".bail on\nPRAGMA foreign_keys = OFF;\n")
    assert failed != 0
    assert kept == ([2], [1])
    assert (rest, code) == (0, Exit.DONE)
    assert project.query("SELECT name FROM authors ORDER BY id") == ["Ada", "Ben"]
    assert project.query("SELECT id FROM books") == [1]


def test_a_database_without_a_table_is_reconciled(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    forget(project.upgraded()).execute("DROP TABLE books")

    refused = project.run("upgrade", "--adopt", HEAD)
    shown = capsys.readouterr().err
    reconcile(project, shown)
    code = project.run("upgrade", "--adopt")

    assert (refused, code) == (Exit.REFUSED, Exit.DONE), shown


# As another tool would have made it: no names of constraints, another order of columns.
UNNAMED = """
CREATE TABLE authors (
    is_active BOOLEAN DEFAULT {true} NOT NULL,
    name VARCHAR(100) NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    joined_at {time} DEFAULT CURRENT_TIMESTAMP NOT NULL,
    email VARCHAR(255) NOT NULL UNIQUE,
    id {serial} NOT NULL PRIMARY KEY
)
"""
WORDS = {
    "sqlite": {"true": "1", "time": "DATETIME", "serial": "INTEGER"},
    "postgresql": {"true": "true", "time": "TIMESTAMPTZ", "serial": "SERIAL"},
}


def test_constraints_without_the_names_of_the_revisions_are_different(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    if project.dialect == "sqlite":
        Path(str(project.database.url.database)).parent.mkdir()
    sql = UNNAMED.format(**WORDS[project.dialect])
    # PostgreSQL stores what the default is called.
    project.execute(sql.replace("CURRENT_TIMESTAMP", "now()") if "SERIAL" in sql else sql)

    refused = project.run("upgrade", "--adopt")

    shown = capsys.readouterr().err
    assert refused == Exit.REFUSED
    assert "the nearest is 0001" in shown
    for name in ("pk_authors", "uq_authors_email", "ck_authors_name_length"):
        assert re.search(rf"(missing: constraint authors.|its name should be ){name}", shown), shown
    assert "column" not in shown.partition("This SQL")[0]
    reconcile(project, shown)
    assert project.run("upgrade", "--adopt") == Exit.DONE, capsys.readouterr()
    assert project.run("upgrade") == Exit.DONE


def test_a_difference_without_a_statement_is_named(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project = forget(postgresql_project.upgraded())
    project.execute(
        "COMMENT ON COLUMN books.title IS 'told by hand'",
        "ALTER TABLE books ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY everything ON books USING (true)",
    )

    refused = project.run("upgrade", "--adopt")

    shown = capsys.readouterr().err
    assert refused == Exit.REFUSED
    assert re.search("public.books.title: .*told by hand → missing", shown)
    assert "public.books: relrowsecurity: true → relrowsecurity: false" in shown
    assert "everything on public.books" in shown
    assert "This SQL" not in shown


def test_a_check_that_was_dumped_and_restored_is_the_same(postgresql_project: Project) -> None:
    project = postgresql_project
    check = "CONSTRAINT one CHECK (kind IN ('a', 'b') AND (n > 0 AND (n < 5 OR (n = 7 OR n = 9))))"
    project.write("tags", f'op.execute("CREATE TABLE tags (kind varchar(9), n int, {check})")')
    forget(project.upgraded())
    query = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'one'"
    [dumped] = project.query(query)
    project.execute(f"ALTER TABLE tags DROP CONSTRAINT one, ADD CONSTRAINT one {dumped}")
    [restored] = project.query(query)
    assert restored != dumped

    assert project.run("upgrade", "--adopt") == Exit.DONE
    project.execute(
        "DROP TABLE alembic_version",
        "ALTER TABLE tags DROP CONSTRAINT one",
        "ALTER TABLE tags ADD CONSTRAINT one CHECK (kind IN ('a', 'b') AND (n > 0 AND n < 5"
        " OR (n = 7 OR n = 9)))",
    )
    assert project.run("upgrade", "--adopt") == Exit.REFUSED


def test_the_search_path_of_the_url_is_that_of_the_scratch_database(
    postgresql_project: Project,
) -> None:
    postgresql_project.execute("CREATE SCHEMA crm")
    url = postgresql_project.database.url.update_query_dict({"options": "-csearch_path=crm"})
    project = forget(postgresql_project.having(url=url).upgraded())

    assert project.run("upgrade", "--adopt") == Exit.DONE
    assert project.query("SELECT to_regclass('crm.alembic_version') IS NOT NULL") == [True]


def test_a_revision_that_fails_on_an_empty_database_hides_only_later_ones(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    forget(project.upgraded())
    project.write("later", 'op.execute("SELECT * FROM missing")')

    adopted = project.run("upgrade", "--adopt")
    project.execute("DROP TABLE alembic_version", "ALTER TABLE books ADD COLUMN isbn VARCHAR(20)")
    refused = project.run("upgrade", "--adopt")

    assert (adopted, refused) == (Exit.DONE, Exit.REFUSED)
    assert "migrations/versions/later.py fails on one" in capsys.readouterr().err


def test_a_database_of_create_all_is_adopted_or_refused(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    if project.dialect == "sqlite":
        Path(str(project.database.url.database)).parent.mkdir()
    with project.connect() as connection:
        Base.metadata.create_all(connection)
        connection.commit()

    code = project.run("upgrade", "--adopt")

    shown = capsys.readouterr()
    # The trigger of PostgreSQL is not in the models.
    assert code == (Exit.DONE if project.dialect == "sqlite" else Exit.REFUSED), shown
    if code == Exit.REFUSED:
        assert f"the nearest is {HEAD}" in shown.err
        assert "missing: trigger tidy_title on public.books" in shown.err
        reconcile(project, shown.err)
        assert project.run("upgrade", "--adopt") == Exit.DONE


def test_revisions_that_differ_in_rows_only_have_to_be_named(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.database.upgrade("0002")
    forget(project)

    refused = project.run("upgrade", "--adopt")
    code = project.run("upgrade", "--adopt", "0002")

    shown = capsys.readouterr()
    assert (refused, code) == (Exit.REFUSED, Exit.DONE)
    assert "equals 0002 and 0003, which differ in rows only" in shown.err
    assert project.database.status().revisions == ("0002",)


def test_what_cannot_be_seen_is_said(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("tags", ADD_TAGS)
    forget(project.upgraded()).execute("DELETE FROM tags WHERE id > 1")

    code = project.run("upgrade", "--adopt")

    shown = capsys.readouterr().out
    assert code == Exit.DONE
    assert "Not seen: whether 0003 ran, which changes rows only" in shown
    assert "Missing: 2 rows of tags" in shown


def test_an_empty_version_table_and_tables_of_others_are_no_obstacle(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.upgraded().execute(
        "DELETE FROM alembic_version",
        "CREATE TABLE spatial_ref_sys (id INTEGER PRIMARY KEY, note VARCHAR(9) CHECK (note > ''))",
    )
    if project.dialect == "postgresql":
        project.execute(
            "CREATE EXTENSION citext",
            "CREATE SCHEMA audit",
            "CREATE TABLE audit.log (id serial PRIMARY KEY, of int REFERENCES authors)",
            "GRANT SELECT ON authors TO PUBLIC",
        )

    code = project.run("upgrade", "--adopt")

    shown = capsys.readouterr()
    assert code == Exit.DONE, shown.err
    assert re.search(r"not compared: table \S*spatial_ref_sys", shown.out)
    assert project.database.status().revisions == (HEAD,)


def test_tables_of_others_do_not_hold_up_the_first_upgrade(project: Project) -> None:
    if project.dialect == "sqlite":
        Path(str(project.database.url.database)).parent.mkdir()
    project.execute("CREATE TABLE settings (id INTEGER PRIMARY KEY)")

    assert project.run("upgrade", "--adopt") == Exit.DONE
    assert project.run("upgrade") == Exit.DONE


def test_tables_in_a_schema_and_those_of_the_models_are_seen(postgresql_project: Project) -> None:
    project = postgresql_project
    for path in project.versions.glob("*.py"):
        path.unlink()
    source = 'revision, down_revision = "0001", None\n\ndef upgrade():\n    op.{}\n'
    first = project.versions / "first.py"
    project.execute("CREATE SCHEMA crm", "CREATE TABLE crm.users (id int)")
    seen = []

    for call in ('create_table("users", schema="crm")', 'execute("CREATE TABLE users (n int)")'):
        first.write_text(f"from alembic import op\n{source.format(call)}")
        seen.append(project.database.status().unversioned)
    project.execute("CREATE TABLE anything (id int)")
    first.write_text("from alembic import op\n" + source.format("f(Base.metadata.create_all())"))
    seen.append(project.database.status().unversioned)

    assert seen == [("crm.users",), (), ("anything",)]


def test_runs_at_the_same_time_adopt_once(project: Project) -> None:
    forget(project.upgraded())

    runs = [project.start(COMMANDS, "upgrade", "--adopt") for _ in range(2)]
    shown = [run.communicate(timeout=LIMIT)[0] for run in runs]

    assert [run.returncode for run in runs] == [Exit.DONE] * 2, shown
    assert project.query("SELECT direction FROM migration_history") == ["adopted"]


def test_an_extension_of_the_server_is_there_if_a_revision_needs_it(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project = postgresql_project
    project.execute("CREATE SCHEMA tools", "CREATE EXTENSION citext SCHEMA tools")
    project.write("tags", 'op.execute("CREATE TABLE tags (name tools.citext PRIMARY KEY)")')
    forget(project.upgraded())
    project.execute("CREATE ROLE keeper LOGIN CREATEDB", "GRANT pg_write_all_data TO keeper")
    project.execute("GRANT ALL ON SCHEMA public TO keeper")
    url = project.database.url.set(username="keeper")

    adopted = project.having(url=url).run("upgrade", "--adopt")

    shown = capsys.readouterr()
    project.execute("DROP OWNED BY keeper", "DROP ROLE keeper")
    # citext is trusted, so any role may create it in a database of its own.
    assert adopted == Exit.DONE, shown.err


def test_a_role_that_may_not_create_databases_is_told(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project = forget(postgresql_project.upgraded())
    project.execute("CREATE ROLE adopter LOGIN", "GRANT ALL ON SCHEMA public TO adopter")
    url = project.database.url.set(username="adopter")

    code = project.having(url=url).run("upgrade", "--adopt")

    shown = capsys.readouterr().err
    project.execute("DROP OWNED BY adopter", "DROP ROLE adopter")
    assert code == Exit.REFUSED
    assert "ALTER ROLE adopter CREATEDB" in shown


def test_nothing_is_left_on_the_server(postgresql_project: Project) -> None:
    project = forget(postgresql_project.upgraded())

    project.run("upgrade", "--adopt")

    assert project.query("SELECT datname FROM pg_database WHERE datname LIKE 'migrator%%'") == []


def test_a_downgrade_of_an_unknown_revision_is_refused(project: Project) -> None:
    forget(project.upgraded())

    assert project.run("upgrade", "--adopt", "base") == Exit.USAGE
    assert project.run("upgrade", "--adopt", "nope") == Exit.USAGE
    assert project.run("downgrade", "--yes") == Exit.REFUSED
    assert project.run("upgrade", "--plan") == Exit.REFUSED
