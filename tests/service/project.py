"""A rendered project, and what tests do with it."""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from filelock import FileLock

from tests.running import TEMPLATE, Result, run, succeeded

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
# Of blank projects, each pair of the other answers is in one of them.
BLANK = (
    "sync-sqlite-none-blank",
    "async-postgresql-none-blank",
    "async-sqlite-clickhouse-blank",
    "sync-postgresql-clickhouse-blank",
)
# Projects have most of what mypy reads in common. It compares contents, so one cache fits them all.
MYPY_CACHE = TEMPLATE / ".mypy_cache" / "projects"


@contextlib.contextmanager
def mypy_cache(command: str) -> Iterator[dict[str, str]]:
    """Yield the variables that lead to the cache. A command that checks types has it alone."""
    MYPY_CACHE.mkdir(parents=True, exist_ok=True)
    checks = "check" in command or "mypy" in command
    with FileLock(MYPY_CACHE / "lock") if checks else contextlib.nullcontext():
        yield {"MYPY_CACHE_DIR": str(MYPY_CACHE)}


def copy_mypy_cache(folder: Path) -> dict[str, str]:
    """Copy what is in the cache so far, and return the variables that lead to the copy."""
    with mypy_cache("check"):
        copied = shutil.copytree(MYPY_CACHE, folder, ignore=shutil.ignore_patterns("lock"))
    return {"MYPY_CACHE_DIR": str(copied)}


def take_compiled(environment: Path) -> None:
    """Give a new environment what Python has compiled for other projects: it takes long.

    uv links the same files into all of them, and Python compares their time and size.
    """
    (packages,) = environment.glob("lib/*/site-packages")
    for other in Path(tempfile.gettempdir()).glob("services-*/*/*/.venv"):
        source = other / packages.relative_to(environment)
        for folder, _, names in os.walk(source):
            place = packages / Path(folder).relative_to(source)
            if place.name == "__pycache__" and place.parent.is_dir():
                place.mkdir(exist_ok=True)
                for name in names:
                    # The other project may go at any time.
                    with contextlib.suppress(FileExistsError, FileNotFoundError):
                        (place / name).hardlink_to(Path(folder, name))


@dataclass(frozen=True)
class Service:
    """A rendered project with the default name, and how to run things in it.

    Attributes:
        folder: Where it is.
        style: sync or async.
        database: sqlite or postgresql.

    """

    folder: Path
    style: str
    database: str

    def bring_environment(self, *arguments: str) -> None:
        """Bring its environment by the template's uv; arguments of make may name a Python."""
        if (uv := TEMPLATE / ".uv").exists():
            (self.folder / ".uv").symlink_to(uv)
        succeeded(self.make("env", *arguments))
        take_compiled(self.folder / ".venv")

    def install(self) -> None:
        """Bring its environment, and start its server if it has one."""
        self.bring_environment()
        if self.database == "postgresql":
            succeeded(self.make("database"))

    def stop(self) -> None:
        """Stop its development server if it has one."""
        if self.database == "postgresql":
            succeeded(self.make("database-stop"))

    def run(self, *command: str | Path, cwd: Path | None = None, **variables: str) -> Result:
        """Run a command in the project; a name without a slash is a program of its environment."""
        program, *arguments = command
        if "/" not in str(program):
            program = self.program(str(program))
        return run(program, *arguments, cwd=cwd or self.folder, **variables)

    def make(self, *arguments: str) -> Result:
        """Run make in the project."""
        with mypy_cache(" ".join(arguments)) as variables:
            return run("make", *arguments, cwd=self.folder, **variables)

    def script(self, name: str, *arguments: str, **variables: str) -> Result:
        """Run one of its scripts, such as `migrate.sh`."""
        return self.run(f"scripts/{name}", *arguments, cwd=self.folder, **variables)

    def program(self, name: str) -> Path:
        """Return the path of a program of its environment."""
        return self.folder / ".venv" / "bin" / name

    @property
    def versions(self) -> Path:
        """The folder of its revisions."""
        return self.folder / "migrations" / "versions"

    @property
    def head(self) -> str:
        """The last revision."""
        return self.versions.with_name("head.txt").read_text().strip()

    def migrate(self) -> None:
        """Bring the development database to head, unless it is there."""
        if self.revision() != self.head:
            succeeded(self.script("migrate.sh"))

    def revision(self) -> str | None:
        """Return the revision of the development database; None if it has none."""
        if "alembic_version" not in self.objects():
            return None
        query = "SELECT version_num FROM alembic_version"
        if self.database == "sqlite":
            with contextlib.closing(sqlite3.connect(self.sqlite_file)) as file:
                row = file.execute(query).fetchone()
        else:
            with psycopg.connect(self.postgresql_url) as connection:
                row = connection.execute(query).fetchone()
        return str(row[0]) if row else None

    def create_key(self) -> str:
        """Return a new API key."""
        result = self.run("python", "-m", PACKAGE, "create-key", "--email", "you@example.com")
        return succeeded(result).removesuffix("\n")

    def objects(self) -> set[str]:
        """Return the names of what the development database's schema holds."""
        if self.database == "sqlite":
            if not self.sqlite_file.exists():
                return set()
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
        """Return a digest of the development data, by file and table, and what lies beside it."""
        data = self.folder / "data"
        beside = {path.name for path in self.folder.iterdir()}
        digests = {f"beside {name}": "" for name in beside if not name.startswith(".")}
        digests |= {
            str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in data.rglob("*")
            # The files of a server that runs change by themselves.
            if path.is_file() and "postgresql" not in path.relative_to(data).parts
        }
        if self.database == "sqlite":
            return digests
        with psycopg.connect(self.postgresql_url) as connection:
            databases = connection.execute(
                "SELECT datname FROM pg_database WHERE NOT datistemplate"
            ).fetchall()
            digests |= {f"database {name}": "" for (name,) in databases}
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            ).fetchall()
            for (table,) in tables:
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


def combinations(*names: str, complete: Collection[str] = ()) -> pytest.MarkDecorator:
    """Run a test on these combinations: style, database and, if there are any, analytics.

    Those in `complete` are left to the run of all tests. This decorator stands above those of other
    parameters: by the end of a test's name, workers know its project.
    """
    answers = [pytest.param(tuple(name.split("-")), id=name) for name in names]
    long = [
        pytest.param(tuple(name.split("-")), id=name, marks=pytest.mark.complete)
        for name in complete
    ]
    return pytest.mark.parametrize("service", answers + long, indirect=True)
