"""An installed project, and what tests do with it."""

import contextlib
import hashlib
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

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
# What a run of the tests may leave in the project, besides hidden files.
MADE_BY_TESTS = {"htmlcov"}

Run = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Service:
    """An installed project, and how to run things in it."""

    folder: Path
    style: str
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
        """Return a digest of the development data, by file and table, and what lies beside it."""
        data = self.folder / "data"
        beside = {path.name for path in self.folder.iterdir()} - MADE_BY_TESTS
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


def combinations(*names: str) -> pytest.MarkDecorator:
    """Run a test on these combinations: style, database and, if there are any, analytics."""
    answers = [tuple(name.split("-")) for name in names]
    return pytest.mark.parametrize("service", answers, ids=names, indirect=True)


def succeeded(result: subprocess.CompletedProcess[str]) -> str:
    """Return what a program printed, after checking that it ended well."""
    assert result.returncode == 0, f"{result.args}\n{result.stdout}\n{result.stderr}"
    return result.stdout
