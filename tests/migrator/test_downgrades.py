"""A downgrade lists what it deletes, keeps a verified backup, and stops where it must."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from migrator import BackupError, Exit, RefusedError, backup, rehearsal
from migrator.backup import back_up, find_pg_dump

from tests.migrator.postgresql import new_database
from tests.migrator.project import HEAD, Project
from tests.migrator.test_readme import README

AUTHOR = "INSERT INTO authors (id, email, name, nick) VALUES (1, 'a@example.com', 'Ada', 'ada')"
TAGS = "INSERT INTO tags VALUES ('a'), ('b')"
UP = """
op.add_column("authors", sa.Column("nick", sa.Text))
op.create_table("tags", sa.Column("name", sa.Text, primary_key=True))
"""
MAIL = """
from sqlalchemy.dialects.postgresql import CITEXT
op.add_column("authors", sa.Column("mail", sa.Text().with_variant(CITEXT(), "postgresql")))
"""
NAMES = """
from sqlalchemy.dialects.postgresql import ARRAY
op.add_column("authors", sa.Column("names", ARRAY(sa.Text)))
"""
DOWN = """
op.drop_table("tags")
with op.batch_alter_table("authors") as batch:
    batch.drop_column("nick")
"""

# It leaves what it wrote last in the write-ahead log.
APPLICATION_THAT_IS_KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("UPDATE authors SET nick = 'other'")
os._exit(0)
"""


@pytest.fixture
def tagged(project: Project) -> Project:
    """Return a project at a revision with rows that a downgrade deletes."""
    project.write("tags", UP, DOWN)
    project.upgraded().execute(AUTHOR, TAGS)
    return project


def test_it_lists_what_is_deleted(tagged: Project, capsys: pytest.CaptureFixture[str]) -> None:
    code = tagged.run("downgrade", "--yes")

    printed = capsys.readouterr().out
    assert code == Exit.DONE
    assert (
        f"This takes the database from tags back to {HEAD}, and deletes:\n"
        "  table tags: 2 rows\n  column authors.nick: 1 value\n"
    ) in printed


def test_it_says_if_nothing_is_deleted(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("index", 'op.create_index("ix", "authors", ["name"])', 'op.drop_index("ix")')
    project.upgraded()

    project.run("downgrade", "--yes")

    assert "  no table and no column\n" in capsys.readouterr().out


def test_what_is_deleted_in_another_schema_is_listed(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project = postgresql_project
    project.write(
        "crm",
        'if op.get_bind().dialect.name == "postgresql":\n'
        '    op.execute("CREATE SCHEMA crm CREATE TABLE orders (id int, note text)"\n'
        '               " CREATE TABLE books (id int, note text)")',
        'if op.get_bind().dialect.name == "postgresql":\n'
        '    op.execute("DROP TABLE crm.orders; ALTER TABLE crm.books DROP COLUMN note")',
    )
    project.upgraded().execute("INSERT INTO crm.orders VALUES (1, 'a'), (2, 'b')")
    project.execute("INSERT INTO crm.books VALUES (1, 'a')")

    code = project.run("downgrade", "--yes")

    assert code == Exit.DONE
    assert (
        "  table crm.orders: 2 rows\n  column crm.books.note: 1 value\n" in capsys.readouterr().out
    )


def test_what_revisions_for_postgresql_alone_delete_is_told_by_the_server(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    postgresql_project.write("names", NAMES, 'op.drop_column("authors", "names")')
    postgresql_project.upgraded()

    code = postgresql_project.run("downgrade", "--yes")

    assert code == Exit.DONE
    assert "column authors.names: 0 values" in capsys.readouterr().out


def test_what_cannot_be_tried_anywhere_is_unknown_and_backed_up(
    plain_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    plain_project.write("names", NAMES, 'op.drop_column("authors", "names")')
    plain_project.upgraded()

    code = plain_project.run("downgrade", "--yes")

    printed = capsys.readouterr().out
    assert code == Exit.DONE
    assert (
        "What it deletes is unknown; it cannot be tried on a scratch database: this role" in printed
    )
    assert "(ALTER ROLE … CREATEDB allows it)" in printed
    assert "Backup: " in printed


@pytest.fixture
def plain_project(postgresql_server: sa.URL, tmp_path: Path) -> Iterator[Project]:
    """Yield a project whose database belongs to a role without privileges.

    The administrator has created an extension in it, and a function of their own.
    """
    role = f"plain_{uuid4().hex}"
    admin = sa.create_engine(postgresql_server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection, new_database(postgresql_server) as url:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
        connection.exec_driver_sql(f"ALTER DATABASE {url.database} OWNER TO {role}")
        Project.in_folder(tmp_path / "administrator", url).execute("CREATE EXTENSION citext")
        yield Project.in_folder(tmp_path / "project", url.set(username=role))
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP ROLE {role}")


@pytest.fixture
def restorable(request: pytest.FixtureRequest) -> Project:
    """Return a project with rows that a downgrade deletes: on SQLite, and under a plain role."""
    project: Project = request.getfixturevalue(request.param)
    project.write("tags", f"{MAIL}\n{UP}", f'op.drop_column("authors", "mail")\n{DOWN}')
    project.upgraded().execute(AUTHOR, TAGS)
    return project


def contents(project: Project) -> dict[str, list[str]]:
    """Return the rows of all tables."""
    queries = {
        name: sa.select(sa.text("*")).select_from(sa.table(name)) for name in project.tables()
    }
    with project.connect() as connection:
        return {name: sorted(map(str, connection.execute(it))) for name, it in queries.items()}


# What was made after the backup, and refers to a table in it.
LATER = """
op.create_table(
    "notes",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("author_id", sa.Integer, sa.ForeignKey("authors.id")),
)
"""


@pytest.mark.parametrize("restorable", ["sqlite_project", "plain_project"], indirect=True)
def test_the_backup_restores_everything(
    restorable: Project, request: pytest.FixtureRequest
) -> None:
    before = (restorable.catalogue(), contents(restorable))
    code = restorable.run("downgrade", "--yes")
    [path] = restorable.database.backup_folder.iterdir()
    restorable.write("later", LATER, 'op.drop_table("notes")')
    restorable.upgraded()
    lost = (restorable.catalogue(), contents(restorable))
    url = restorable.database.url

    if restorable.dialect == "sqlite":
        program = [sys.executable, "-c", APPLICATION_THAT_IS_KILLED, str(url.database)]
        subprocess.run(program, check=False, capture_output=True)
        for end in ("", "-wal", "-shm"):
            Path(f"{url.database}{end}").unlink(missing_ok=True)
        shutil.copy(path, str(url.database))
    else:
        empty: sa.URL = request.getfixturevalue("empty_copy")
        [recipe] = re.findall(r"```sh\n(pg_restore.*?)```", README, re.DOTALL)
        target = empty.set(drivername="postgresql")
        with restorable.connect() as connection:
            version = connection.dialect.server_version_info or (0,)
        programs = find_pg_dump(int(version[0])).parent
        variables = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "EMPTY": target.render_as_string(hide_password=False),
            "FILE": str(path),
        }
        subprocess.run(["sh", "-euc", recipe], check=True, env=variables, cwd=restorable.root)
        exchange(request.getfixturevalue("postgresql_server"), url.database, empty.database)

    assert code == Exit.DONE
    assert lost != before
    assert (restorable.catalogue(), contents(restorable)) == before
    assert restorable.run("upgrade") == Exit.DONE


@pytest.fixture
def empty_copy(plain_project: Project, postgresql_server: sa.URL) -> Iterator[sa.URL]:
    """Yield the URL of an empty database, as an administrator makes it for the same role."""
    role = plain_project.database.url.username
    with new_database(postgresql_server) as url:
        plain_project.having(url=url).execute(
            f"ALTER DATABASE {url.database} OWNER TO {role}", "CREATE EXTENSION citext"
        )
        yield url.set(username=role)


def exchange(server: sa.URL, one: str | None, other: str | None) -> None:
    """Exchange the names of two databases."""
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        for old, new in ((one, "before"), (other, one), ("before", other)):
            connection.exec_driver_sql(f"ALTER DATABASE {old} RENAME TO {new}")


def test_rows_that_row_level_security_hides_are_neither_counted_nor_lost(
    plain_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    plain_project.write("tags", UP, DOWN)
    force = ("ENABLE ROW LEVEL SECURITY", "FORCE ROW LEVEL SECURITY")
    plain_project.upgraded().execute(TAGS, *(f"ALTER TABLE tags {it}" for it in force))

    url = plain_project.database.url
    # libpq takes the user from the query as well.
    url = url._replace(username=None).update_query_dict({"user": str(url.username)})
    refused = plain_project.having(url=url).run("downgrade", "--yes")
    printed = capsys.readouterr()
    plain_project.execute("ALTER TABLE tags NO FORCE ROW LEVEL SECURITY")
    done = plain_project.run("downgrade", "--yes")

    assert refused == Exit.REFUSED
    assert "  table tags: its rows cannot be counted (row-level security)\n" in printed.out
    assert "row-level security may hide rows of tags from the role plain_" in printed.err
    assert "ALTER TABLE tags NO FORCE ROW LEVEL SECURITY" in printed.err
    assert done == Exit.DONE
    assert "  table tags: 2 rows\n" in capsys.readouterr().out


def test_a_dump_that_was_cut_off_is_not_a_backup(
    postgresql_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = "INSERT INTO authors (id, email, name) SELECT i, i || '@a', md5(i::text) FROM"
    postgresql_project.upgraded().execute(f"{many} generate_series(1, 50000) i")
    run = backup.run

    def cut(command: list[str | Path], variables: dict[str, str]) -> str:
        printed = run(command, variables)
        if "--dbname" in command:
            path = Path(command[command.index("--file") + 1])
            os.truncate(path, path.stat().st_size // 2)
        return printed

    monkeypatch.setattr(backup, "run", cut)

    with pytest.raises(BackupError):
        back_up(postgresql_project.database.url, "0001", tmp_path)


def test_only_the_owner_reads_the_backups(tagged: Project) -> None:
    tagged.run("downgrade", "--yes")

    assert tagged.database.backup_folder.stat().st_mode & 0o777 == 0o700


def test_without_a_backup_nothing_is_undone(
    tagged: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    tagged.database.backup_folder.touch()

    code = tagged.run("downgrade", "--yes")

    assert code == Exit.FAILED
    assert "backups" in capsys.readouterr().err
    assert tagged.database.status().revision == "tags"


# On PostgreSQL, one of the two steps has succeeded by then.
def test_an_interrupted_downgrade_names_the_command_that_continues(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("stuck", "pass", 'op.execute("nonsense")')
    project.write("last", "pass")
    project.upgraded()

    code = project.run("downgrade", "--yes", "2")

    assert code == Exit.FAILED
    assert f"then run scripts/migrate-down.sh --yes {HEAD}." in capsys.readouterr().err


def test_an_irreversible_revision_is_refused(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project.write("once", "pass")
    path.write_text(path.read_text() + "irreversible = 'the old values are gone'\n")
    project.upgraded()

    code = project.run("downgrade", "--yes", "base")

    assert code == Exit.REFUSED
    assert "once cannot be undone: the old values are gone" in capsys.readouterr().err
    assert project.database.status().revision == "once"


def test_there_is_nothing_to_do_at_the_target(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    code = project.upgraded().run("downgrade", "--yes", HEAD)

    assert code == Exit.DONE
    assert capsys.readouterr().out.endswith(f"Nothing to do: the database is at {HEAD}.\n")


def test_without_pg_dump_the_message_says_what_to_install(
    postgresql_project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    postgresql_project.upgraded()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(backup, "find_spec", lambda _: None)

    code = postgresql_project.run("downgrade", "--yes")

    assert code == Exit.REFUSED
    assert "Next: install the PostgreSQL" in capsys.readouterr().err
    assert postgresql_project.database.status().pending == ()


def test_a_pg_dump_that_is_older_than_the_server_is_not_used() -> None:
    with pytest.raises(RefusedError, match="pg_dump 99 or newer"):
        find_pg_dump(99)


@pytest.mark.parametrize(
    ("said", "message", "remedy"),
    [
        ("no", "^no$", None),
        ("pg_dump: error: No space left on device", "cannot be written to", "make room there, or"),
    ],
)
def test_a_dump_that_fails_is_not_a_backup(
    postgresql_url: sa.URL,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    message: str,
    remedy: str | None,
) -> None:
    program = tmp_path / "pg_dump"
    fail = f'{{ echo half >"$3"; echo "{said}" >&2; exit 1; }}'
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo 99 || {fail}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    with pytest.raises(BackupError, match=message) as caught:
        back_up(postgresql_url, "0001", tmp_path / "backups")

    assert [*(tmp_path / "backups").iterdir()] == []
    assert (caught.value.remedy or "").startswith(remedy) if remedy else not caught.value.remedy


def test_only_its_owner_can_read_a_backup_in_a_folder_that_exists(project: Project) -> None:
    folder = project.upgraded().database.backup_folder
    folder.mkdir(mode=0o755)

    path = back_up(project.database.url, "0001", folder)

    assert path.stat().st_mode & 0o777 == 0o600


def test_a_dump_without_the_migrations_is_not_a_backup(
    postgresql_url: sa.URL, tmp_path: Path
) -> None:
    with pytest.raises(BackupError, match="is incomplete"):
        back_up(postgresql_url, "base", tmp_path)


def test_a_copy_that_differs_from_its_source_is_not_a_backup(
    sqlite_project: Project, tmp_path: Path
) -> None:
    url = sqlite_project.upgraded().database.url
    damaged = sqlite3.connect(str(url.database), isolation_level=None)
    damaged.execute("INSERT INTO authors (id, email, name) VALUES (1, 'a@example.com', 'A')")
    damaged.execute("CREATE INDEX ix ON authors (name)")
    damaged.execute("PRAGMA writable_schema = ON")
    damaged.execute("UPDATE sqlite_master SET sql = replace(sql, 'name', 'id') WHERE name = 'ix'")
    damaged.close()

    with pytest.raises(BackupError, match="is damaged"):
        back_up(url, "0001", tmp_path / "backups")


@pytest.mark.parametrize("place", ["password", "query", "other"])
def test_a_password_is_not_shown_to_other_users(
    postgresql_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    secret = uuid4().hex
    password, url = f"50% @ {secret}", postgresql_project.database.url
    name = "sslpassword" if place == "other" else "password"
    url = (
        url.set(password=password)
        if place == "password"
        else url.update_query_dict({name: password})
    )
    project = postgresql_project.having(url=url).upgraded()
    project.write("note", "op.add_column('books', sa.Column('note', sa.Text))")
    seen: list[list[str]] = []
    services: list[tuple[int, str]] = []
    run = backup.run

    def spy(command: list[str | Path], variables: dict[str, str]) -> str:
        seen.append([*map(str, command), *variables])
        if "PGSERVICEFILE" in variables:
            file = Path(variables["PGSERVICEFILE"])
            services.append((file.stat().st_mode & 0o777, file.read_text()))
        return run(command, variables)

    monkeypatch.setattr(backup, "run", spy)
    monkeypatch.setattr(rehearsal, "run", spy)

    path = back_up(url, "0001", tmp_path)
    planned = project.database.plan()

    assert path.stat().st_size > 0
    assert planned.locks == {"books": "ACCESS EXCLUSIVE"}
    assert not any(secret in argument for command in seen for argument in command)
    if place == "other":
        assert services == [(0o600, f"[migrator]\nsslpassword={password}\n")] * 3
    else:
        assert any("PGPASSWORD" in command for command in seen)


def test_a_secret_beside_a_service_is_refused(
    postgresql_url: sa.URL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = postgresql_url.update_query_dict({"sslpassword": "s3cret"})
    monkeypatch.setenv("PGSERVICE", "app")
    (tmp_path / "services.conf").write_text("[app]\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services.conf"))

    with pytest.raises(RefusedError, match="sslpassword of the URL would be on the command line"):
        back_up(url, "0001", tmp_path)
