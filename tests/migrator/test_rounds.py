"""Migrations under what happens to them in production: crowds, kills, full disks, typing errors.

Each engine has a project of its own with ten more revisions. Its tests run one after another in
one worker; those that change the project put it back.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from tests.service.conftest import Render
from tests.service.project import Run

ROUNDS = Path(__file__).with_name("migration_rounds.py")
DONE, FAILED, USAGE, LOCKED, REFUSED = range(5)
STYLES = {"sqlite": "sync", "postgresql": "async"}

# What ten revisions do to tables with rows. On SQLite, half of them rebuild a table.
REVISIONS = {
    f"r{number:02}": (
        f"""
        with op.batch_alter_table("users") as batch:
            batch.add_column(sa.Column("extra_{number}", sa.String(20), server_default="x"))
            batch.create_check_constraint("extra_{number}_length", "length(extra_{number}) < 20")
        """,
        f"""
        with op.batch_alter_table("users") as batch:
            batch.drop_constraint(op.f("ck_users_extra_{number}_length"))
            batch.drop_column("extra_{number}")
        """,
    )
    if number % 2
    else (
        f"""
        op.create_table("extras_{number}", sa.Column("id", sa.Integer(), primary_key=True))
        op.create_index("ix_extras_{number}_id", "extras_{number}", ["id"])
        op.execute(sa.text("UPDATE users SET name = 'Me {number}'"))
        """,  # noqa: S608  # a revision, with a number
        f"""
        op.drop_table("extras_{number}")
        """,
    )
    for number in range(1, 11)
}
CONCURRENT_INDEX = """
        op.execute("SELECT 1")
        with op.get_context().autocommit_block():
            op.drop_index("ix_users_name", if_exists=True, postgresql_concurrently=True)
            op.create_index("ix_users_name", "users", ["name"], postgresql_concurrently=True)
        """


FILL_SQLITE = """
        op.execute("CREATE TABLE big (x)")
        op.execute("INSERT INTO big VALUES (randomblob(2000000))")
        """
FILL_POSTGRESQL = """
        op.execute("CREATE TABLE big TABLESPACE small AS SELECT generate_series(1, 200000) AS x")
        """
STAIRWAY = "tests/migrations/test_revisions.py::test_a_downgrade_leaves_what_was_there_before"
LEAKS = {
    "type e": """
        if op.get_context().dialect.name == "postgresql":
            op.execute("CREATE TYPE leaked AS ENUM ('a', 'b')")
        """,
    "trigger": """
        if op.get_context().dialect.name == "postgresql":
            op.execute(
                "CREATE TRIGGER leaked BEFORE UPDATE ON users"
                " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
            )
        """,
}
TESTS_OF_SOMEBODY_ELSE = """
import pytest
import sqlalchemy as sa
from pytest_alembic.tests import (
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)


@pytest.fixture
def alembic_engine(request):
    engine = sa.create_engine(request.getfixturevalue("DATABASE_database"), poolclass=sa.NullPool)
    yield engine
"""
FAULTS = "faults"
MOUNT = ("mount", "-t", "tmpfs", "-o", "size=1m", "none")


@dataclass
class Project:
    """An installed project with a database, and how to migrate it."""

    folder: Path
    database: str
    url: str
    execute: Run
    head: str = "r10"
    written: list[Path] = field(default_factory=list)

    @property
    def versions(self) -> Path:
        """The folder of the revisions."""
        return self.folder / "migrations" / "versions"

    def write(self, name: str, before: str, up: str, down: str = "pass") -> Path:
        """Write a revision; it is removed after the test."""
        path = self.versions / f"{name}.py"
        path.write_text(
            f'"""{name}"""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\n'
            f"revision = {name!r}\ndown_revision = {before!r}\n\n\n"
            f"def upgrade() -> None:\n{indent(up)}\n\n\ndef downgrade() -> None:\n{indent(down)}\n"
        )
        self.written.append(path)
        return path

    def script(
        self, name: str = "migrate.sh", *arguments: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts on the database."""
        variables = {"DATABASE_URL": self.url, **variables}
        path = self.folder / "scripts" / name
        return self.execute(path, *arguments, cwd=self.folder, **variables)

    def command(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the project's folder."""
        return self.execute(*words, cwd=self.folder, **{"DATABASE_URL": self.url, **variables})

    @contextlib.contextmanager
    def started(self) -> Iterator[subprocess.Popen[str]]:
        """Start `migrate.sh`, and make sure that it ends."""
        run = subprocess.Popen(
            ["scripts/migrate.sh"],
            cwd=self.folder,
            env={**os.environ, "DATABASE_URL": self.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with run:
            yield run
            run.kill()

    @property
    def file(self) -> Path:
        """The SQLite file."""
        return self.folder / "data" / f"{FAULTS}.db"

    def server(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """Return a connection to the server."""
        url = self.url.replace("postgresql+psycopg:", "postgresql:")
        return psycopg.connect(url.replace(f"/{FAULTS}?", f"/{database}?"), autocommit=True)

    def sql(self, statement: str, database: str = FAULTS) -> None:
        """Run a statement on the database."""
        if self.database == "sqlite":
            with contextlib.closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
                connection.execute(statement)
        else:
            with self.server(database) as connection:
                connection.execute(statement.encode())

    def start(self) -> None:
        """Make a database at `head`, as a copy of one that was migrated once."""
        if self.database == "sqlite":
            kept = self.file.with_suffix(".start")
            self.file.unlink(missing_ok=True)
            if not kept.exists():
                succeeded(self.script("migrate.sh"))
                self.file.rename(kept)
            shutil.copy(kept, self.file)
            return
        with self.server() as connection:
            names = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        self.sql(f'DROP DATABASE IF EXISTS "{FAULTS}" WITH (FORCE)', "postgres")
        if f"{FAULTS}_head" not in names:
            self.sql(f'CREATE DATABASE "{FAULTS}"', "postgres")
            succeeded(self.script("migrate.sh"))
            self.sql(f'ALTER DATABASE "{FAULTS}" RENAME TO "{FAULTS}_head"', "postgres")
        self.sql(f'CREATE DATABASE "{FAULTS}" TEMPLATE "{FAULTS}_head"', "postgres")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold a lock that migrations need."""
        if self.database == "sqlite":
            with contextlib.closing(sqlite3.connect(self.file, isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                yield
        else:
            with self.server(FAULTS) as connection, connection.transaction():
                connection.execute("LOCK TABLE users IN SHARE MODE")
                yield

    def wait_for(self, query: str) -> None:
        """Wait until a query on the server finds something."""
        with self.server() as connection:
            for _ in range(300):
                if connection.execute(query.encode()).fetchall():
                    return
                time.sleep(0.1)
        raise AssertionError(f"nothing came of {query}")

    @contextlib.contextmanager
    def only(self, *names: str) -> Iterator[None]:
        """Put the other ones of the ten revisions away."""
        away = [self.versions / f"{name}.py" for name in REVISIONS if name not in names]
        for path in away:
            path.rename(path.with_suffix(".away"))
        try:
            yield
        finally:
            for path in away:
                path.with_suffix(".away").rename(path)

    def tidy_up(self) -> None:
        """Remove the revisions that were written."""
        for path in self.written:
            path.unlink()
        self.written.clear()

    def rounds(self, kind: str, count: int, scripts: int) -> list[dict[str, object]]:
        """Run rounds of `migration_rounds.py`."""
        result = self.execute(
            self.folder / ".venv" / "bin" / "python",
            ROUNDS,
            kind,
            str(count),
            str(scripts),
            cwd=self.folder,
            DATABASE_URL=self.url,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        rounds: list[dict[str, object]] = json.loads(result.stdout.splitlines()[-1])
        return rounds


def guest(project: Project, password: str, given: str) -> str:
    """Return the URL of a user who needs a password, as somebody who gives one would write it."""
    rules = project.folder / "data" / "postgresql" / "pg_hba.conf"
    line = "local all guest scram-sha-256\n"
    if not rules.read_text().startswith(line):
        rules.write_text(line + rules.read_text())
        project.sql("CREATE ROLE guest LOGIN SUPERUSER")
    with project.server() as connection:
        connection.execute(sql.SQL("ALTER ROLE guest PASSWORD {}").format(password))
        connection.execute("SELECT pg_reload_conf()")
    time.sleep(0.2)
    return project.url.replace("postgres:@", f"guest:{quote(given, safe='')}@")


@contextlib.contextmanager
def small_tablespace(project: Project) -> Iterator[None]:
    """Give the server a tablespace that is soon full."""
    folder = project.folder / "data" / "small"
    folder.mkdir()
    if os.geteuid() != 0 or project.command(*MOUNT, str(folder)).returncode:
        folder.rmdir()
        pytest.skip("a small file system cannot be mounted here")
    try:
        owner = (project.folder / "data" / "postgresql").stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        project.sql(f"CREATE TABLESPACE small LOCATION '{folder}'")
        yield
        project.sql("DROP TABLESPACE small")
    finally:
        succeeded(project.command("umount", str(folder)))


def indent(code: str) -> str:
    """Return code as the body of a function."""
    return textwrap.indent(textwrap.dedent(code).strip(), "    ")


@pytest.fixture(scope="session")
def installed(render: Render, run: Run) -> Iterator[Callable[[str], Project]]:
    """Return a function that gives the installed project of an engine."""
    projects: dict[str, Project] = {}
    # If you are root, PostgreSQL runs as another user, who has to get in here.
    temporary = tempfile.TemporaryDirectory(prefix="services-", ignore_cleanup_errors=True)

    def installed(database: str) -> Project:
        if database not in projects:
            answers = {"session_style": STYLES[database], "database": database}
            folder = render(answers, Path(temporary.name) / f"faults-{database}")
            succeeded(run("make", "env", cwd=folder))
            url = f"sqlite:///{folder}/data/{FAULTS}.db"
            if database == "postgresql":
                succeeded(run("make", "database", cwd=folder))
                line = (folder / ".env").read_text().splitlines()[-1]
                url = line.partition("=")[2].replace("/my_service?", f"/{FAULTS}?")
            project = projects[database] = Project(folder, database, url, run)
            if database == "postgresql":
                # Processes are killed here, never the machine.
                project.sql("ALTER SYSTEM SET fsync = off", "postgres")
                project.sql("SELECT pg_reload_conf()", "postgres")
            before = "0001"
            for name, (up, down) in REVISIONS.items():
                project.write(name, before, up, down)
                before = name
            project.written.clear()
        return projects[database]

    with temporary:
        yield installed
        for project in projects.values():
            if project.database == "postgresql":
                succeeded(run("make", "database-stop", cwd=project.folder))


@pytest.fixture
def project(
    installed: Callable[[str], Project], request: pytest.FixtureRequest
) -> Iterator[Project]:
    """Return the project of the test's engine. Revisions that the test writes are removed."""
    project = installed(request.param.removeprefix("faults-"))
    yield project
    project.tidy_up()


def on(*databases: str) -> pytest.MarkDecorator:
    """Run a test on these engines."""
    names = [f"faults-{database}" for database in databases]
    return pytest.mark.parametrize("project", names, indirect=True)


each_engine = on("sqlite", "postgresql")
on_postgresql = on("postgresql")
on_sqlite = on("sqlite")


@each_engine
def test_eight_at_once_apply_each_revision_once(project: Project) -> None:
    rounds = project.rounds("together", 20, 2)

    assert len(rounds) == 20
    for found in rounds:
        check_together(found, ["0001", *REVISIONS])


@on_postgresql
def test_eight_at_once_build_an_index_concurrently(project: Project) -> None:
    project.write("concurrent", "r10", CONCURRENT_INDEX)

    rounds = project.rounds("together", 20, 1)

    assert len(rounds) == 20
    for found in rounds:
        check_together(found, ["0001", *REVISIONS, "concurrent"])


@each_engine
def test_killed_at_any_moment_the_next_run_finishes_the_job(project: Project) -> None:
    rounds = project.rounds("killed", 30, 3)

    assert len(rounds) == 30
    for found in rounds:
        check_killed(found, ["0001", *REVISIONS])
    reported = {found["reported"] for found in rounds}
    assert len(reported.difference({0, len(REVISIONS)})) > 1, "no kill hit a migration"


@on_postgresql
def test_killed_while_it_builds_an_index_the_next_run_finishes_the_job(project: Project) -> None:
    with project.only("r01"):
        project.write("concurrent", "r01", CONCURRENT_INDEX)
        rounds = project.rounds("killed", 30, 3)

    assert len(rounds) == 30
    for found in rounds:
        check_killed(found, ["0001", "r01", "concurrent"], is_concurrent=True)
    reported = [found["reported"] for found in rounds]
    assert 1 in reported, "no kill came between the two revisions"


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and what is said about it.

    Attributes:
        code: The exit code.
        message: What the message holds, besides what to do next.
        cause: Brings it about; what it returns are variables for the script.
        arguments: What the script is called with.

    """

    code: int
    message: str
    cause: Callable[[Project], dict[str, str] | None] = lambda _: None
    arguments: tuple[str, ...] = ()


def revision(up: str) -> Callable[[Project], None]:
    """Return what writes a revision."""

    def write(project: Project) -> None:
        project.write("bad", project.head, up)

    return write


def two_heads(project: Project) -> None:
    """Write two revisions that follow the same one."""
    project.write("left", project.head, "pass")
    project.write("right", project.head, "pass")


def from_the_future(project: Project) -> None:
    """Let another version of the code have migrated the database."""
    project.sql("UPDATE alembic_version SET version_num = 'future'")


def garbage(project: Project) -> None:
    """Put something else where the database was."""
    project.file.write_bytes(b"This is no database. " * 500)


def read_only_server(project: Project) -> None:
    """Let the database refuse to be written to, as a replica does."""
    project.write("more", project.head, 'op.add_column("users", sa.Column("more", sa.Text))')
    project.sql(f'ALTER DATABASE "{FAULTS}" SET default_transaction_read_only = on')


def wrong_password(project: Project) -> dict[str, str]:
    """Ask a server that wants a password with another one."""
    return {"DATABASE_URL": guest(project, "right", "wrong")}


def nobody_listens(_: Project) -> dict[str, str]:
    """Ask where no server is."""
    return {"DATABASE_URL": "postgresql://me:secret@127.0.0.1:1/service"}


ON_EACH = {
    "syntax error": Fault(
        FAILED,
        "Failed: '(' was never closed (migrations/versions/bad.py, line 11).\nNothing was changed.",
        revision("x = ("),
    ),
    "statement that fails": Fault(
        FAILED,
        "(migrations/versions/bad.py, line 11).\n"
        "The database is at r10, and 1 to apply; no revision is half applied.",
        revision('op.execute("SELECT nonsense")'),
    ),
    "two heads": Fault(
        REFUSED,
        "Refused, nothing was changed: the migrations have 2 heads: left, right.",
        two_heads,
    ),
    "newer database": Fault(
        REFUSED,
        "Refused, nothing was changed: the database is at future, which these migrations do not",
        from_the_future,
    ),
    "unknown revision": Fault(
        USAGE,
        "Wrong call, nothing was changed: No such revision or branch 'nonsense'.",
        arguments=("nonsense",),
    ),
}
ON_SQLITE = {
    "no database": Fault(
        FAILED, "Failed: file is not a database.\nThe database cannot be asked", garbage
    ),
}
ON_POSTGRESQL = {
    "wrong password": Fault(
        FAILED, 'password authentication failed for user "guest"', wrong_password
    ),
    "no server": Fault(FAILED, "Connection refused", nobody_listens),
    "read-only server": Fault(FAILED, "in a read-only transaction", read_only_server),
}


@each_engine
def test_a_fault_ends_in_one_message_and_its_exit_code(
    project: Project, subtests: pytest.Subtests
) -> None:
    own = ON_SQLITE if project.database == "sqlite" else ON_POSTGRESQL
    for name, fault in {**ON_EACH, **own}.items():
        project.start()
        variables = fault.cause(project) or {}

        result = project.script("migrate.sh", *fault.arguments, **variables)

        project.tidy_up()
        with subtests.test(name):
            check_message(result, fault.code, fault.message)


@each_engine
def test_a_lock_that_a_stranger_holds_is_waited_for_and_then_reported(project: Project) -> None:
    project.start()
    project.write("more", project.head, 'op.add_column("users", sa.Column("more", sa.Text))')
    waits = {"MIGRATION_WAIT_SECONDS": "1", "MIGRATION_LOCK_TIMEOUT_MS": "100"}

    with project.locked():
        result = project.script("migrate.sh", **waits)
    again = project.script("migrate.sh")

    check_message(result, LOCKED, "No lock: ")
    assert "The database is at r10, and 1 to apply" in result.stderr
    succeeded(again)


@each_engine
def test_any_password_and_path_will_do(project: Project) -> None:
    project.start()
    name = "50% @ home: a+b"
    if project.database == "sqlite":
        path = project.file.rename(project.file.with_name(f"{name}.db"))
        url = f"sqlite:///{path}"
    else:
        url = guest(project, name, name)
    project.write("more", project.head, "pass")

    result = project.script("migrate.sh", DATABASE_URL=url)

    assert "to more in" in succeeded(result)


@on_sqlite
def test_a_file_that_cannot_be_written_is_reported(project: Project) -> None:
    project.start()
    project.write("more", project.head, 'op.add_column("users", sa.Column("more", sa.Text))')
    project.file.chmod(0o444)

    # Root may write everywhere, unless it gives that up.
    prefix = ("setpriv", "--bounding-set", "-dac_override") if os.geteuid() == 0 else ()
    result = project.command(*prefix, "scripts/migrate.sh")

    check_message(result, FAILED, "Failed: attempt to write a readonly database")
    assert "Next: make the file and its folder writable for you" in result.stderr


@on_sqlite
def test_a_full_disk_under_a_file_is_reported(project: Project) -> None:
    project.start()
    project.write("big", project.head, FILL_SQLITE)
    small = project.folder / "small"
    small.mkdir(exist_ok=True)
    mount = f'mount -t tmpfs -o size=400k none "{small}" && cp "{project.file}" "{small}/x.db"'
    if project.command("unshare", "-rm", "sh", "-c", mount).returncode:
        pytest.skip("a small file system cannot be mounted here")

    result = project.command(
        "unshare",
        "-rm",
        "sh",
        "-c",
        f"{mount} && exec scripts/migrate.sh",
        DATABASE_URL=f"sqlite:///{small}/x.db",
    )

    check_message(result, FAILED, "Failed: database or disk is full")
    assert "The database is at r10, and 1 to apply" in result.stderr
    assert "Next: make room on the disk" in result.stderr


@on_postgresql
def test_a_full_disk_under_a_server_is_reported(project: Project) -> None:
    project.start()
    project.write("big", project.head, FILL_POSTGRESQL)
    with small_tablespace(project):
        result = project.script("migrate.sh")

    check_message(result, FAILED, "No space left on device")
    assert "The database is at r10, and 1 to apply" in result.stderr
    assert "Next: make room on the server's disk" in result.stderr


@on_postgresql
def test_a_server_that_goes_away_is_reported(project: Project) -> None:
    project.start()
    project.write("slow", project.head, 'op.execute("SELECT pg_sleep(60)")')

    with project.started() as run:
        project.wait_for("SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")
        succeeded(project.execute("make", "database-stop", cwd=project.folder))
        _, message = run.communicate(timeout=60)
    succeeded(project.execute("make", "database", cwd=project.folder))
    project.tidy_up()
    again = project.script("migrate.sh")

    assert run.returncode == FAILED
    assert "The database cannot be asked where it stands" in message
    assert "Next: see to the server and DATABASE_URL" in message
    assert "Nothing to do: the database is at r10." in succeeded(again)


@on_sqlite
def test_a_file_that_goes_away_is_reported(project: Project) -> None:
    project.start()
    begun = project.folder / "data" / "begun"
    slow = f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(0.5)"
    project.write("slow", project.head, slow)

    with project.started() as run:
        while not begun.exists():
            assert run.poll() is None, run.communicate()
            time.sleep(0.01)
        project.file.unlink()
        _, message = run.communicate(timeout=60)

    assert run.returncode == FAILED
    assert "The database is at an empty schema, and 12 to apply" in message
    assert "Next: put the file back; it was moved or deleted during the run" in message
    assert not project.file.exists()


def check_message(result: subprocess.CompletedProcess[str], code: int, message: str) -> None:
    """Check that a script said what went wrong and what to do, and nothing else."""
    assert result.returncode == code, result.stdout + result.stderr
    assert message in result.stderr
    assert "Next: " in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 6


@each_engine
def test_the_tests_of_somebody_else_pass(project: Project) -> None:
    others = project.folder / "data" / "others"
    uv = shutil.which("uv") or project.folder / ".uv" / "bin" / "uv"
    install = (str(uv), "pip", "install", "--quiet", "--no-deps", "--target", str(others))
    succeeded(project.command(*install, "pytest-alembic==0.13.1"))
    module = project.folder / "tests" / "migrations" / "test_others.py"
    module.write_text(TESTS_OF_SOMEBODY_ELSE.replace("DATABASE", project.database))
    project.written.append(module)

    with project.only():
        # Its way to collect them by itself does not work with this pytest.
        options = ("--no-cov", "-q", "-o", "pytest_alembic_tests_path=none")
        result = project.command(".venv/bin/pytest", str(module), *options, PYTHONPATH=str(others))

    assert "4 passed" in succeeded(result)


@on_postgresql
def test_the_stairway_notices_what_a_downgrade_leaves(
    project: Project, subtests: pytest.Subtests
) -> None:
    for name, up in LEAKS.items():
        with project.only():
            project.write("leak", "0001", up)

            result = project.command(".venv/bin/pytest", "--no-cov", "-q", STAIRWAY)

            project.tidy_up()
        with subtests.test(name):
            assert result.returncode == 1, result.stdout
            assert "[postgresql-leak]" in result.stdout
            assert f"('{name}" in result.stdout


@each_engine
def test_the_stairway_passes_ten_revisions(project: Project) -> None:
    result = project.command(".venv/bin/pytest", "--no-cov", "-q", STAIRWAY)

    assert "22 passed" in succeeded(result)


def check_together(found: dict[str, object], revisions: list[str]) -> None:
    """Check what a round of eight processes left."""
    assert found["codes"] == [DONE] * 8, found["said"]
    assert found["revision"] == revisions[-1]
    assert found["history"] == revisions
    assert (found["users"], found["contexts"], found["faults"]) == (200, 200, [])


def check_killed(
    found: dict[str, object], revisions: list[str], *, is_concurrent: bool = False
) -> None:
    """Check what a killed run left, and what the next one made of it."""
    assert found["code"] in (-9, DONE)
    assert found["is whole"] or (is_concurrent and found["revision"] == "r01"), found
    assert found["users"] == 200
    assert found["again"] == DONE, found["said"]
    assert found["finished"], found
    assert found["history"] == revisions
    assert (found["users again"], found["contexts again"], found["faults"]) == (200, 200, [])


def succeeded(result: subprocess.CompletedProcess[str]) -> str:
    """Return what a program printed, after checking that it ended well."""
    assert result.returncode == 0, f"{result.args}\n{result.stdout}\n{result.stderr}"
    return result.stdout
