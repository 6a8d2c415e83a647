"""Scratch databases are never the real one, whatever the URL looks like."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from migrator import Exit, RefusedError
from migrator.scratch import require_database, scratch_beside

from tests.migrator.postgresql import new_database
from tests.migrator.project import HEAD, Project

SCRATCH = "it cannot be tried on a scratch database:"
NOTE = "op.add_column('books', sa.Column('note', sa.Text))"


def with_dbname(project: Project) -> Project:
    """Return a project whose URL names the database as libpq's URLs may."""
    url = project.database.url
    return project.having(
        url=url._replace(database=None).update_query_dict({"dbname": str(url.database)})
    )


def test_a_database_named_in_the_query_is_not_taken_for_the_scratch_database(
    postgresql_project: Project,
) -> None:
    project = with_dbname(postgresql_project).upgraded()
    project.write("note", NOTE, "op.drop_column('books', 'note')")
    before = postgresql_project.catalogue()

    refused = project.run("downgrade", "0001")
    planned = project.run("upgrade", "--plan")
    written = project.run("new", "more")

    assert (refused, planned, written) == (Exit.REFUSED, Exit.DONE, Exit.DONE)
    assert postgresql_project.catalogue() == before


def test_databases_of_services_have_scratch_databases_of_their_own(
    postgresql_server: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_database(postgresql_server) as one, new_database(postgresql_server) as two:
        common = "".join(f"{name}={value}\n" for name, value in one.query.items())
        services = (f"[{it.database}]\ndbname={it.database}\n{common}" for it in (one, two))
        file = tmp_path / "services.conf"
        file.write_text("".join(services))
        monkeypatch.setenv("PGSERVICEFILE", str(file))
        urls = [
            sa.URL.create("postgresql+psycopg", one.username, query={"service": str(it.database)})
            for it in (one, two)
        ]

        with scratch_beside(urls[0], "a", 60) as first, scratch_beside(urls[1], "a", 60) as second:
            found = {first.database, second.database}

    assert len(found) == 2


def test_revisions_run_only_on_the_scratch_database(postgresql_url: sa.URL) -> None:
    require_database(postgresql_url, str(postgresql_url.database))

    with pytest.raises(RefusedError, match=r"other leads to the database test_.*Next: use"):
        require_database(postgresql_url, "other")


ROLES = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'zz\\_%%'"


@pytest.fixture
def role(postgresql_project: Project) -> Iterator[str]:
    """Return the name of a role that does not exist yet, and drop it afterwards."""
    name = f"zz_{uuid4().hex}"
    yield name
    postgresql_project.execute(f"DROP ROLE IF EXISTS {name}")


def test_a_plan_changes_nothing_of_the_server(
    postgresql_project: Project, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project = postgresql_project.upgraded()
    name = project.database.url.database
    project.write(
        "server",
        f"op.execute('CREATE ROLE {role}')\n"
        f"op.execute('ALTER DATABASE {name} SET work_mem = 1234')\n"
        "with op.get_context().autocommit_block():\n"
        "    op.create_index('i', 'books', ['title'], postgresql_concurrently=True)",
    )

    code = project.run("upgrade", "--plan")

    assert code == Exit.DONE
    assert "not known" not in capsys.readouterr().out
    assert project.query(ROLES) == []
    assert project.query("SELECT setconfig FROM pg_db_role_setting") == []
    assert project.run("upgrade") == Exit.DONE


GUARDED = """
op.execute('''DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}')
THEN CREATE ROLE {role}; END IF; END $$''')
"""


def test_the_losses_of_a_downgrade_are_listed_without_changing_the_server(
    postgresql_project: Project, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project = postgresql_project
    project.write("server", GUARDED.format(role=role), f"op.execute('DROP ROLE {role}')")
    project.upgraded()

    code = project.run("downgrade", HEAD)

    assert code == Exit.REFUSED
    assert "deletes:\n  no table and no column\n" in capsys.readouterr().out
    assert project.query(ROLES) == [role]


@pytest.mark.parametrize(
    ("upgrade", "reason"),
    [
        (
            "op.get_bind().execute(sa.text('SELECT id FROM authors')).scalar_one()",
            "No row was found when one was required (migrations/versions/odd.py, line 6)",
        ),
        ("op.execute('CREATE ROLE {role}')", 'role "{role}" already exists'),
    ],
    ids=["rows", "server"],
)
def test_a_revision_that_does_not_run_on_a_scratch_database_can_be_undone(
    postgresql_project: Project,
    role: str,
    upgrade: str,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = postgresql_project.upgraded()
    project.execute("INSERT INTO authors (email, name) VALUES ('a@example.com', 'Ada')")
    project.write("odd", upgrade.format(role=role))
    project.write("note", NOTE, "op.drop_column('books', 'note')")
    project.upgraded()

    written = project.run("new", "more")
    refusal = capsys.readouterr().err
    refused = project.run("downgrade")
    asked = capsys.readouterr().out
    done = project.run("downgrade", "--yes")

    assert (written, refused, done) == (Exit.REFUSED, Exit.REFUSED, Exit.DONE)
    assert reason.format(role=role) in refusal
    assert "Next: make them run on an empty database of this server" in refusal
    assert (
        f"back to odd.\nWhat it deletes is unknown; {SCRATCH} {reason.format(role=role)}" in asked
    )
    assert "Backup: " in capsys.readouterr().out
    assert project.database.status().revision == "odd"


def test_the_rows_that_a_revision_reads_are_no_obstacle_to_a_downgrade(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project = sqlite_project.upgraded()
    project.execute("INSERT INTO authors (id, email, name) VALUES (1, 'a@example.com', 'Ada')")
    project.write("odd", "op.get_bind().execute(sa.text('SELECT id FROM authors')).scalar_one()")
    project.upgraded()

    code = project.run("downgrade", "--yes")

    assert code == Exit.DONE
    printed = capsys.readouterr().out
    assert f"{SCRATCH} No row was found when one was required" in printed
    assert "Backup: " in printed


def test_what_needs_a_commit_is_no_obstacle_to_a_new_revision(postgresql_project: Project) -> None:
    project = postgresql_project
    reindex = "    op.execute('REINDEX SCHEMA public')"
    project.write("outside", f"with op.get_context().autocommit_block():\n{reindex}")
    project.upgraded()

    assert project.run("new", "more") == Exit.DONE


BLOCK = """
table = sa.table("authors", sa.column("id"), sa.column("name"))
with op.get_context().autocommit_block():
    op.create_index("i", "authors", ["name"], postgresql_concurrently=True)
    batched(sa.update(table).values(name="x"))
    op.execute("VACUUM authors")
"""


def test_what_runs_outside_a_transaction_runs_on_a_scratch_database(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project = postgresql_project
    project.write("block", f"from migrator import batched\n{BLOCK}", "op.drop_index('i')")
    project.upgraded()

    written = project.run("new", "more")
    code = project.run("downgrade", "--yes", HEAD)

    assert (written, code) == (Exit.DONE, Exit.DONE), capsys.readouterr()
