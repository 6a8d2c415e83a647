"""A rendered project, installed from what it declares: it checks, tests, migrates and serves.

Each combination is rendered and installed once. Its tests run one after another in one worker;
those that change the project put it back.
"""

import contextlib
import hashlib
import os
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psycopg
import pytest
from pre_gen_project import taken

from tests.conftest import Render, Run

PACKAGE = "my_service"
TABLES = {
    "api_keys",
    "audit_log",
    "claude_analysis_results",
    "contexts",
    "tasks",
    "thought_relationships",
    "thoughts",
    "users",
}


@dataclass(frozen=True)
class Service:
    """An installed project, and how to run things in it."""

    folder: Path
    database: str
    execute: Run
    environment: dict[str, str]

    def run(
        self, *command: str | Path, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project; a name without a slash is a program of its environment."""
        program, *arguments = command
        if "/" not in str(program):
            program = self.folder / ".venv" / "bin" / program
        return self.execute(program, *arguments, cwd=cwd or self.folder, **variables)

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run make in the project."""
        return self.execute("make", *arguments, cwd=self.folder)

    def migrate(self) -> None:
        """Bring the development database to head."""
        succeeded(self.run(self.folder / "scripts" / "migrate.sh"))

    def create_key(self) -> str:
        """Return a new API key."""
        result = self.run("python", "-m", PACKAGE, "create-key", "--email", "you@example.com")
        return succeeded(result).removesuffix("\n")

    def objects(self) -> set[str]:
        """Return the names of what the development database's schema holds."""
        if self.database == "sqlite":
            with contextlib.closing(sqlite3.connect(self.sqlite_file)) as connection:
                rows = connection.execute("SELECT name FROM sqlite_master").fetchall()
        else:
            with psycopg.connect(self.postgresql_url) as connection:
                rows = connection.execute(
                    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
                    "UNION SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace "
                    "UNION SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
                ).fetchall()
        return {row[0] for row in rows}

    def state(self) -> dict[str, str]:
        """Return a digest of the development data: of each file, or of each table's rows."""
        if self.database == "sqlite":
            files = sorted(path for path in (self.folder / "data").rglob("*") if path.is_file())
            return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        with psycopg.connect(self.postgresql_url) as connection:
            names = connection.execute(
                "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1"
            ).fetchall()
            digests = {f"database {name}": "" for (name,) in names}
            for table in TABLES:
                query = (
                    f"SELECT md5(string_agg(row::text, ' ' ORDER BY row::text)) FROM {table} row"  # noqa: S608
                )
                digests[table] = str(connection.execute(query.encode()).fetchone())
        return digests

    @property
    def sqlite_file(self) -> Path:
        """The development database's file."""
        return self.folder / "data" / f"{PACKAGE}.db"

    @property
    def postgresql_url(self) -> str:
        """The development database's address, as libpq wants it."""
        lines = (self.folder / ".env").read_text().splitlines()
        (url,) = (line.partition("=")[2] for line in lines if line.startswith("DATABASE_URL="))
        return url.strip("\"'").replace("postgresql+psycopg://", "postgresql://")


# The answers that matter for what runs; the last one may be left out.
ANSWERS = ("session_style", "database", "analytics")
Combination = tuple[str, ...]
Install = Callable[[Combination], Service]


@pytest.fixture(scope="session")
def install(render: Render, run: Run, environment: dict[str, str]) -> Iterator[Install]:
    """Return a function that gives the installed project of a combination."""
    installed: dict[Combination, Service] = {}
    # Not in pytest's own temporary folder: every run of pytest, such as those of the projects,
    # closes it to other users, and if you are root, PostgreSQL runs as another user.
    temporary = tempfile.TemporaryDirectory(prefix="services-", ignore_cleanup_errors=True)

    def install(combination: Combination) -> Service:
        if combination not in installed:
            answers = dict(
                zip(("session_style", "database", "analytics"), combination, strict=False)
            )
            folder = render(answers, Path(temporary.name) / "-".join(combination))
            service = Service(folder, answers["database"], run, environment)
            installed[combination] = service
            succeeded(service.make("env"))
            if service.database == "postgresql":
                succeeded(service.make("database"))
        return installed[combination]

    with temporary:
        yield install
        for service in installed.values():
            if service.database == "postgresql":
                succeeded(service.make("database-stop"))


@pytest.fixture
def service(install: Install, request: pytest.FixtureRequest) -> Service:
    """Return the installed project of the test's combination."""
    return install(request.param)


def combinations(*names: str) -> pytest.MarkDecorator:
    """Run a test on these combinations: style, database and, if there are any, analytics."""
    answers = [tuple(name.split("-")) for name in names]
    return pytest.mark.parametrize("service", answers, ids=names, indirect=True)


# With analytics, one in each style, and one on each database.
every_project = combinations(
    "sync-sqlite",
    "sync-postgresql",
    "async-sqlite",
    "async-postgresql",
    "sync-postgresql-clickhouse",
    "async-sqlite-clickhouse",
)
one_of_each_style = combinations("sync-sqlite", "async-postgresql")
the_default_project = combinations("sync-sqlite")


@pytest.fixture
def change() -> Iterator[Callable[[Path, str], None]]:
    """Return a function that writes a file of a project. After the test it is as it was."""
    before: dict[Path, str | None] = {}

    def change(path: Path, text: str) -> None:
        before.setdefault(path, path.read_text() if path.exists() else None)
        path.write_text(text)

    yield change
    for path, text in before.items():
        if text is None:
            path.unlink()
        else:
            path.write_text(text)


@every_project
def test_its_checks_pass(service: Service) -> None:
    succeeded(service.make("check"))


# The tests are the same whichever database was chosen: they run on both. With analytics there are
# more of them, and all the others as well. So all run in one project of each style, and the quick
# ones in every other.
@combinations("sync-postgresql-clickhouse", "async-postgresql")
def test_its_suite_passes_in_parallel_and_spares_the_development_data(service: Service) -> None:
    service.migrate()
    service.create_key()
    before = service.state()

    output = succeeded(service.make("test-postgresql", "ARGS=-n auto"))

    assert "Required test coverage of 95% reached" in output
    assert service.state() == before


@combinations("sync-postgresql", "async-sqlite", "async-sqlite-clickhouse")
def test_its_quick_tests_pass_and_spare_the_development_data(service: Service) -> None:
    service.migrate()
    before = service.state()

    succeeded(service.make("test", "ARGS=-m 'not slow'"))

    assert service.state() == before


@every_project
def test_a_part_of_its_suite_is_not_judged_by_the_gate(service: Service) -> None:
    output = succeeded(service.run("pytest", "tests/unit"))

    assert "Required test coverage" not in output


@every_project
def test_it_migrates_up_down_and_up_again_from_anywhere(service: Service, tmp_path: Path) -> None:
    up = service.folder / "scripts" / "migrate.sh"
    down = service.folder / "scripts" / "migrate-down.sh"

    succeeded(service.run(up, cwd=tmp_path))
    first = service.objects()
    succeeded(service.run(down, "--yes", "base", cwd=tmp_path))
    emptied = service.objects()
    succeeded(service.run(up, cwd=tmp_path))

    assert first >= TABLES
    assert {name for name in emptied if "alembic_version" not in name} == set()
    assert service.objects() == first
    assert list(tmp_path.iterdir()) == []


@every_project
def test_its_models_are_what_is_migrated(service: Service) -> None:
    service.migrate()

    succeeded(service.run("alembic", "check"))


@every_project
def test_a_new_revision_of_an_unchanged_schema_is_empty(service: Service) -> None:
    service.migrate()
    versions = service.folder / "migrations" / "versions"
    before = set(versions.glob("*.py"))

    succeeded(service.run(service.folder / "scripts" / "new-migration.sh", "nothing new"))

    (revision,) = set(versions.glob("*.py")) - before
    text = revision.read_text()
    linted = service.run("ruff", "check", str(revision))
    revision.unlink()
    assert "nothing new" in text
    assert "op." not in text
    assert linted.returncode == 0, linted.stdout


@every_project
def test_it_serves_with_one_command(service: Service) -> None:
    service.migrate()
    key = service.create_key()

    with served(service) as client:
        ready = client.get("/health/ready")
        refused = client.post("/thoughts", json={"content": "First."})
        created = client.post("/thoughts", json={"content": "First."}, headers={"X-API-Key": key})
        read = client.get(created.headers["Location"], headers={"X-API-Key": key})
        # More than a server has threads and connections.
        with ThreadPoolExecutor(60) as threads:
            crowd = list(threads.map(lambda _: create(client, key), range(120)))

    assert {response.status_code for response in crowd} == {201}
    assert ready.status_code == 200
    assert refused.status_code == 401
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert created.status_code == 201
    assert read.json()["content"] == "First."


def create(client: httpx2.Client, key: str) -> httpx2.Response:
    """Create a thought."""
    return client.post("/thoughts", json={"content": "One."}, headers={"X-API-Key": key})


@the_default_project
def test_a_key_can_be_made_by_make(service: Service) -> None:
    service.migrate()

    output = succeeded(service.make("api-key", "EMAIL=you@example.com"))

    assert len(output.split()) == 1


@every_project
def test_no_package_can_have_the_name_of_a_library(service: Service) -> None:
    code = "import importlib.metadata as m; print(*m.packages_distributions())"

    names = succeeded(service.run("python", "-c", code)).split()

    free = [name for name in names if name.isidentifier() and not taken(name) and name != PACKAGE]
    assert [name for name in free if name.islower() and name[0] != "_"] == []


@one_of_each_style
def test_a_test_with_a_production_session_fails_the_checks(
    service: Service, change: Callable[[Path, str], None]
) -> None:
    change(
        service.folder / "tests" / "unit" / "test_wrong.py",
        f'"""Wrong."""\n\nfrom {PACKAGE}.db.session import make_session_maker\n\n'
        "def test_wrong() -> None:\n    assert make_session_maker\n",
    )

    result = service.make("check")

    assert result.returncode != 0
    assert "TID251" in result.stdout
    assert "TESTING.md" in result.stdout


@the_default_project
def test_a_lost_downgrade_fails_the_tests(
    service: Service, change: Callable[[Path, str], None]
) -> None:
    (revision,) = (service.folder / "migrations" / "versions").glob("*.py")
    text = revision.read_text()
    change(revision, text.replace("def downgrade(", "def downgrade() -> None: ...\n\n\ndef lost("))

    result = service.run("pytest", "tests/migrations", "--exitfirst")

    assert result.returncode == 1
    assert "FAILED tests/migrations" in result.stdout


# All tests in one process, as most people run them.
@the_default_project
def test_untested_code_fails_a_suite_that_passes_but_no_part_of_it(
    service: Service, change: Callable[[Path, str], None]
) -> None:
    service.migrate()
    before = service.state()
    lines = "".join(f"    x = {number}\n" for number in range(500))
    change(
        service.folder / "src" / PACKAGE / "untested.py",
        f'"""Untested."""\n\n\ndef untested() -> None:\n    """Do nothing."""\n{lines}',
    )

    whole = service.make("test")
    part = service.run("pytest", "tests/unit")

    assert whole.returncode != 0
    assert " passed" in whole.stdout.splitlines()[-1]
    assert "failed" not in whole.stdout.splitlines()[-1]
    assert "Required test coverage of 95% not reached" in whole.stdout + whole.stderr
    assert service.state() == before
    assert part.returncode == 0, part.stdout


@contextlib.contextmanager
def served(service: Service) -> Iterator[httpx2.Client]:
    """Serve a project by `make run` on a free port, and give a client that knows it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = service.folder.parent / "serve.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            ["make", "run", f"PORT={port}"],
            cwd=service.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=service.environment,
            start_new_session=True,
        )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for _ in range(300):
                with contextlib.suppress(httpx2.TransportError):
                    client.get("/health/live")
                    break
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
            yield client
    finally:
        # The whole group: make, the shell, the server and what it started to reload itself.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def succeeded(result: subprocess.CompletedProcess[str]) -> str:
    """Return what a program printed, after checking that it ended well."""
    assert result.returncode == 0, f"{result.args}\n{result.stdout}\n{result.stderr}"
    return result.stdout
