"""Faults around a run: full disks, wrong passwords, servers and files that go away."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from migrator import Exit, engine
from psycopg import sql
from testdb.postgresql import embedded

from tests.migrator.postgresql import new_database, server_in
from tests.migrator.project import COMMANDS, HEAD, Project
from tests.running import LIMIT, wait_until

ADD_COLUMN = 'op.add_column("authors", sa.Column("nick", sa.Text))'
FILL_FILE = """
op.execute("CREATE TABLE big (x)")
op.execute("INSERT INTO big VALUES (randomblob(2000000))")
"""
FILL_TABLESPACE = """
op.execute("CREATE TABLE big TABLESPACE small AS SELECT generate_series(1, 200000) AS x")
"""
# Ends when the database has gone.
WAIT_FOR_THE_END = """
import pathlib, time
pathlib.Path({begun!r}).touch()
while pathlib.Path({database!r}).exists():
    time.sleep(0.01)
"""
ODD_PASSWORD = "50% @ home: a+b/c"  # noqa: S105


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of the server that these tests configure and stop."""
    return tmp_path_factory.mktemp("server") / "data"


@pytest.fixture(scope="module")
def own_server(data: Path) -> Iterator[sa.URL]:
    """Return the URL of that server."""
    with server_in(data) as url:
        yield url


@pytest.fixture
def served(own_server: sa.URL, tmp_path: Path) -> Iterator[Project]:
    """Return a migrated project on that server."""
    with new_database(own_server) as url:
        yield Project.in_folder(tmp_path / "project", url).upgraded()


def guest(project: Project, data: Path, password: str, given: str) -> Project:
    """Return the project for a user that needs a password, and gives one."""
    rules = data / "pg_hba.conf"
    role = f"guest_{project.database.url.database}"
    rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text()}")
    with connect(project.database.url) as connection:
        parts = (sql.Identifier(role), sql.Literal(password))
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}").format(*parts))
        connection.execute("SELECT pg_reload_conf()")
    url = project.database.url.set(username=role, password=given)

    def is_asked_for_a_password() -> bool:
        try:
            connect(url.set(password=None)).close()
        except psycopg.OperationalError:
            return True
        return False

    wait_until(is_asked_for_a_password)
    return project.having(url=url)


def connect(url: sa.URL) -> psycopg.Connection[tuple[object, ...]]:
    """Open a connection without SQLAlchemy; each statement commits."""
    return psycopg.connect(
        host=str(url.query["host"]), dbname=url.database, user=url.username, autocommit=True
    )


def run_program(project: Project, *prefix: str, url: str = "") -> tuple[int, str]:
    """Upgrade in a process of its own, and return its exit code and what it printed."""
    address = url or project.database.url.render_as_string(hide_password=False)
    process = project.start(COMMANDS, "upgrade", prefix=prefix, DATABASE_URL=address)
    printed, _ = process.communicate(timeout=LIMIT)
    return process.returncode, printed


@contextmanager
def started(project: Project) -> Iterator[subprocess.Popen[str]]:
    """Start an upgrade, and make sure that it ends."""
    with project.start(COMMANDS, "upgrade") as process:
        try:
            yield process
        finally:
            process.kill()


def check_message(printed: str, *expected: str) -> None:
    """Check that a run said what went wrong and what to do, and nothing else."""
    for text in expected:
        assert text in printed
    assert "Next: " in printed
    assert "Traceback" not in printed
    assert len(printed.splitlines()) <= 6


def test_a_wrong_password_is_reported(
    served: Project, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = guest(served, data, "right", "wr0ng-one").run("upgrade")

    printed = capsys.readouterr().err
    assert code == Exit.FAILED
    check_message(printed, "password authentication failed for user")
    assert "wr0ng-one" not in printed


def test_a_password_may_have_any_letters(served: Project, data: Path) -> None:
    project = guest(served, data, ODD_PASSWORD, ODD_PASSWORD)
    project.write("more", "pass")

    code, printed = run_program(project)

    assert code == Exit.DONE, printed
    assert f"from {HEAD} to more in" in printed


def test_a_server_that_never_answers_is_given_up(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(engine.LIBPQ_DEFAULTS, "connect_timeout", "2")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        url = sa.make_url(f"postgresql+psycopg://me@127.0.0.1:{port}/app")

        code = sqlite_project.having(url=url).run("upgrade")

    assert code == Exit.FAILED
    check_message(
        capsys.readouterr().err,
        "timeout",
        "Next: start the server with make database, or check DATABASE_URL, then run",
    )


def test_a_lost_server_is_noticed_unless_the_url_says_otherwise() -> None:
    url = sa.make_url("postgresql+psycopg://me@server/app?connect_timeout=3")

    limited = engine.with_limits(url).query

    assert limited["connect_timeout"] == "3"
    assert limited["tcp_user_timeout"] == "30000"


def test_a_replica_is_reported(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project = postgresql_project.upgraded()
    name = project.database.url.database
    project.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    project.write("nick", ADD_COLUMN)

    code = project.run("upgrade")

    assert code == Exit.FAILED
    check_message(
        capsys.readouterr().err, "in a read-only transaction", "Next: connect to the primary"
    )


def test_a_file_that_cannot_be_written_is_reported(sqlite_project: Project) -> None:
    sqlite_project.upgraded().write("nick", ADD_COLUMN)
    Path(str(sqlite_project.database.url.database)).chmod(0o444)

    # Root may write everywhere, unless it gives that up.
    prefix = ("setpriv", "--bounding-set", "-dac_override") if os.geteuid() == 0 else ()
    code, printed = run_program(sqlite_project, *prefix)

    assert code == Exit.FAILED
    check_message(
        printed,
        "Failed: attempt to write a readonly database",
        "Next: make the file and its folder writable",
    )


def test_a_full_disk_under_a_file_is_reported(sqlite_project: Project, tmp_path: Path) -> None:
    sqlite_project.upgraded().write("big", FILL_FILE)
    small = tmp_path / "small"
    small.mkdir()
    file = sqlite_project.database.url.database
    mount = f'mount -t tmpfs -o size=400k none "{small}" && cp "{file}" "{small}/x.db"'
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")

    prefix = ("unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh")
    code, printed = run_program(sqlite_project, *prefix, url=f"sqlite:///{small}/x.db")

    assert code == Exit.FAILED
    check_message(
        printed,
        "Failed: database or disk is full",
        f"The database is at {HEAD}, 1 pending",
        "Next: free space on the disk",
    )


def test_a_full_disk_under_a_backup_is_reported(sqlite_project: Project, tmp_path: Path) -> None:
    sqlite_project.write("big", FILL_FILE)
    sqlite_project.upgraded()
    small, listing = sqlite_project.database.backup_folder, tmp_path / "listing"
    small.mkdir()
    mount = f'mount -t tmpfs -o size=400k none "{small}"'
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")

    program = f'{mount} && "$@"; code=$?; ls -A "{small}" >"{listing}"; exit $code'
    process = sqlite_project.start(
        COMMANDS, "downgrade", "--yes", prefix=("unshare", "-rm", "sh", "-c", program, "sh")
    )
    printed, _ = process.communicate(timeout=LIMIT)

    assert process.returncode == Exit.FAILED
    assert f"Failed: the backup cannot be written to {small}: database or disk is full" in printed
    assert "The database is at big; no revision is partially applied. Next: make room" in printed
    assert listing.read_text() == ""


def test_a_full_disk_under_a_server_is_reported(
    served: Project, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served.write("big", FILL_TABLESPACE)

    with small_tablespace(served, data):
        code = served.run("upgrade")

    assert code == Exit.FAILED
    check_message(
        capsys.readouterr().err,
        "No space left on device",
        f"The database is at {HEAD}, 1 pending",
        "Next: free space on the server's disk",
    )


@contextmanager
def small_tablespace(project: Project, data: Path) -> Iterator[None]:
    """Give the server a tablespace that is soon full."""
    if os.geteuid() != 0:
        pytest.skip("a small file system cannot be mounted here")
    # Not below a folder that is closed to the server's user.
    folder = Path(tempfile.mkdtemp(prefix="small-"))
    mount = ("mount", "-t", "tmpfs", "-o", "size=1m", "none", folder)
    if subprocess.run(mount, check=False).returncode:
        folder.rmdir()
        pytest.skip("a small file system cannot be mounted here")
    try:
        owner = data.stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        with connect(project.database.url) as connection:
            place = sql.SQL("CREATE TABLESPACE small LOCATION {}").format(str(folder))
            connection.execute(place)
            yield
            connection.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()


def test_a_server_that_goes_away_is_reported(
    served: Project, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = served.write("slow", 'op.execute("SELECT pg_sleep(3600)")')
    sleeping = "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(3600)'"

    with started(served) as process:
        wait_until(lambda: bool(served.query(sleeping)), process)
        embedded.stop(data)
        printed, _ = process.communicate(timeout=LIMIT)
    embedded.start(data)
    slow.unlink()
    again = served.run("upgrade")

    assert process.returncode == Exit.FAILED
    check_message(
        printed,
        "The database cannot be reached to read its revision",
        "Next: start the server with make database, or check DATABASE_URL",
    )
    assert again == Exit.DONE
    assert f"Nothing to do: the database is at {HEAD}." in capsys.readouterr().out


def test_a_file_that_goes_away_is_reported(sqlite_project: Project, tmp_path: Path) -> None:
    file, begun = Path(str(sqlite_project.database.url.database)), tmp_path / "begun"
    wait = WAIT_FOR_THE_END.format(begun=str(begun), database=str(file))
    sqlite_project.upgraded().write("slow", wait)

    with started(sqlite_project) as process:
        wait_until(begun.exists, process)
        file.unlink()
        printed, _ = process.communicate(timeout=LIMIT)

    assert process.returncode == Exit.FAILED
    check_message(
        printed,
        "The database is at an empty schema",
        "Next: put the file back; it was moved or deleted during the run",
    )
    assert not file.exists()


def test_a_connection_that_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "data" / "service.db"
    made = engine.make_migration_engine(sa.URL.create("sqlite", database=str(file)), 0, 0)

    def refuse(*_: object) -> None:
        raise PermissionError

    # As the guard of testdb does.
    sa.event.listen(sa.Engine, "do_connect", refuse)
    try:
        with pytest.raises(PermissionError):
            made.connect()
        was_made = file.parent.exists()
    finally:
        sa.event.remove(sa.Engine, "do_connect", refuse)
    made.connect().close()

    assert not was_made
    assert file.parent.exists()


def test_a_path_may_have_any_letters(sqlite_project: Project, tmp_path: Path) -> None:
    file = tmp_path / f"{ODD_PASSWORD.replace('/', '-')}.db"
    sqlite_project.upgraded().write("more", "pass")
    shutil.move(str(sqlite_project.database.url.database), file)

    code, printed = run_program(sqlite_project, url=f"sqlite:///{file}")

    assert code == Exit.DONE, printed
    assert f"from {HEAD} to more in" in printed


# What a project meets, and the remedy that the message names.
LONG = "x" * 33
RETYPED = """
with op.batch_alter_table("authors") as authors:
    authors.alter_column("name", existing_type=sa.String(100), type_=sa.String(200))
"""


def test_a_long_id_is_named(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    postgresql_project.write(LONG, "pass")

    code = postgresql_project.run("upgrade")

    assert code == Exit.FAILED
    assert "Next: shorten the id of the revision that comes next" in capsys.readouterr().err


@pytest.mark.parametrize(
    "step", ['add_column("authors", {})', 'create_table("extras", {})'], ids=["column", "table"]
)
def test_a_type_that_sqlite_lacks_is_explained(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str], step: str
) -> None:
    tags = 'sa.Column("tags", postgresql.ARRAY(sa.Text))'
    imported = "from sqlalchemy.dialects import postgresql\n"
    sqlite_project.write("extras", f"{imported}op.{step.format(tags)}")

    code = sqlite_project.run("upgrade")

    printed = capsys.readouterr().err
    assert code == Exit.FAILED
    assert "SQLite has no type ARRAY, and revisions run there (write sa.JSON().with_var" in printed
    assert "versions/extras.py, line" in printed
    assert "Compiler" not in printed


def test_a_domain_that_sqlite_lacks_is_explained(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = "sa.Text().with_variant(postgresql.DOMAIN('email', sa.Text()), 'postgresql')"
    imported = "from sqlalchemy.dialects import postgresql\n"
    table = f"op.create_table('extras', sa.Column('email', {kind}))"
    sqlite_project.write("extras", imported + table)

    code = sqlite_project.run("upgrade")

    printed = capsys.readouterr().err
    assert code == Exit.FAILED
    assert "SQLite has no domains, and revisions run there (create it in SQL on Postgre" in printed
    assert "postgresql.DOMAIN(…, create_type=False)" in printed


def test_tables_that_the_revisions_do_not_name_are_explained(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project.versions / "0001_authors.py"
    path.write_text(path.read_text().replace('"authors",', '"auth" + "ors",'))
    project.run("upgrade", "0001")
    project.execute("DROP TABLE alembic_version", "DROP TABLE migration_history")

    code = project.run("upgrade")

    assert code == Exit.FAILED
    assert "create_all: if they are those of a revision, record it with" in capsys.readouterr().err


def test_a_view_survives_a_batch_or_is_named(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("view", "op.execute('CREATE VIEW names AS SELECT name FROM authors')")
    project.write("retyped", RETYPED)

    code = project.run("upgrade")

    if project.dialect == "sqlite":
        assert code == Exit.DONE
        assert project.query("SELECT count(*) FROM names") == [0]
    else:
        assert code == Exit.FAILED
        assert "retyped.py" in (printed := capsys.readouterr().err)
        assert "Next: drop what uses the column first, and create it again" in printed


def test_a_type_that_the_server_does_not_cast_is_told_with_the_remedy(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    postgresql_project.write("cast", "op.alter_column('authors', 'name', type_=sa.Integer)")

    code = postgresql_project.run("upgrade")

    assert code == Exit.FAILED
    assert 'Next: say in alter_column how: postgresql_using="' in capsys.readouterr().err


def test_a_role_that_cannot_make_a_scratch_database_is_told(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    postgresql_project.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    url = postgresql_project.database.url.set(username="plain", password="plain")  # noqa: S106
    try:
        code = postgresql_project.having(url=url).run("new", "nothing new")
    finally:
        postgresql_project.execute("DROP ROLE plain")

    assert code == Exit.FAILED
    assert "Next: let the role create databases (ALTER ROLE … CREATEDB)" in capsys.readouterr().err
