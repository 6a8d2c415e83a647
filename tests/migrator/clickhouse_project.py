"""A copy of the sample with ClickHouse, and a process to run its commands in.

chdb opens one folder per process, so whatever these tests do with ClickHouse happens in another
process.
"""

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from alembic import command
from clickhouse_connect.driver.client import Client
from migrator import testing
from migrator.clickhouse.connections import make_engine, open_client
from sqlalchemy import Engine, event, text

from tests.migrator.project import SAMPLE
from tests.migrator.sample import clickhouse

HEAD = "0001"
CATALOGUE = """
    SELECT name, create_table_query FROM system.tables
    WHERE database = currentDatabase() ORDER BY name
"""
EVENT = """
    INSERT INTO events (id, at, name)
    SELECT generateUUIDv4(), now64(6), 'a\\tb' FROM numbers(3)
"""
OPEN: list[Client] = []
CHANGE = re.compile(r"\s*(ALTER|CREATE|DROP|INSERT)\b")


@dataclass(frozen=True)
class Project:
    """A folder with migrations, a SQLite file, and a ClickHouse that chdb embeds.

    Attributes:
        root: The folder.
        variables: The environment of its commands, as far as it differs.

    """

    root: Path
    variables: tuple[tuple[str, str], ...] = ()

    @classmethod
    def in_folder(cls, root: Path) -> "Project":
        """Copy the sample into a folder."""
        for name in ("migrations", "events"):
            shutil.copytree(SAMPLE / name, root / name)
        shutil.copy(SAMPLE / "alembic.ini", root)
        variables = {
            "SAMPLE": str(root),
            "DATABASE_URL": f"sqlite:///{root}/sample.db",
            "CLICKHOUSE_URL": f"chdb:///{root}/clickhouse",
        }
        return cls(root, tuple(variables.items()))

    def having(self, **variables: str) -> "Project":
        """Return the same project with another environment."""
        return Project(self.root, (*self.variables, *variables.items()))

    @property
    def revisions(self) -> Path:
        """The folder of the revisions of ClickHouse."""
        return self.root / "events" / "versions"

    @property
    def folder(self) -> Path:
        """Where ClickHouse stores its data."""
        return self.root / "clickhouse"

    def write(self, name: str, upgrade: str, downgrade: str = "pass", after: str = HEAD) -> Path:
        """Write a revision, and return its file."""
        path = self.revisions / f"{name}.py"
        path.write_text(
            f'"""{name}"""\n'
            "from alembic import op\n"
            f"revision, down_revision = {name!r}, {after!r}\n"
            f"def upgrade() -> None:\n{textwrap.indent(upgrade, '    ')}\n"
            f"def downgrade() -> None:\n{textwrap.indent(downgrade, '    ')}\n"
        )
        return path


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Fault:
    """A run fails, or is killed, after its nth statement that changes something."""

    number: int
    kill: bool = False


def enter(project: Project) -> None:
    """Make this process work on a project."""
    os.environ.update(project.variables)


def run(project: Project, *arguments: str, fault: Fault | None = None) -> Done:
    """Run a command, as the scripts do."""
    enter(project)
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        failing(fault) if fault else contextlib.nullcontext(),
    ):
        code = clickhouse.run(arguments)
    return Done(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def failing(fault: Fault) -> Iterator[None]:
    """Cause a fault."""
    count = 0

    def strike(connection: Any, _: object, statement: str, *__: object) -> None:
        nonlocal count
        if connection.dialect.name != "clickhousedb" or not CHANGE.match(statement):
            return
        count += 1
        if count == fault.number:
            if fault.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ConnectionError("the line is dead")

    event.listen(Engine, "after_cursor_execute", strike)
    try:
        yield
    finally:
        event.remove(Engine, "after_cursor_execute", strike)


def stamp(project: Project, revision: str) -> None:
    """Do what the program alembic does."""
    enter(project)
    command.stamp(clickhouse.events().config(), revision)


def query(project: Project, sql: str) -> list[tuple[Any, ...]]:
    """Return what ClickHouse answers."""
    enter(project)
    with make_engine(clickhouse.events().url).connect() as connection:
        result = connection.execute(text(sql))
        return [tuple(row) for row in result] if result.returns_rows else []


def walk(project: Project) -> list[str]:
    """Go up and down on one connection, each way twice, and return the revisions."""
    enter(project)
    events, found = clickhouse.events(), []
    with make_engine(events.url).connect() as connection:
        for _ in range(2):
            events.upgrade(connection=connection)
            found.append(events.status(connection).revision)
        for target in ("-1", HEAD):
            events.downgrade(target, connection)
            found.append(events.status(connection).revision)
    return found


def run_ready_made_test(project: Project, name: str) -> None:
    """Run one of the ready-made tests on an empty ClickHouse, with the fixtures it asks for."""
    enter(project)
    events = clickhouse.events()
    test = getattr(testing, name)
    values = {"migrations": events, "empty_database": events.url, "rows": {HEAD: [EVENT]}}
    test(**{fixture: values[fixture] for fixture in signature(test).parameters})


def hold(project: Project) -> None:
    """Open ClickHouse and keep it open."""
    enter(project)
    OPEN.append(open_client(clickhouse.events().url))


def catalogue(project: Project) -> dict[str, str]:
    """Return the definition of each table."""
    return dict(query(project, CATALOGUE))


class Embedded:
    """A project, and the process in which its ClickHouse runs.

    Attributes:
        project: The project.
        process: The process.

    """

    def __init__(self, project: Project, process: Executor) -> None:
        """Store both."""
        self.project = project
        self.process = process

    def run(self, *arguments: str, fault: Fault | None = None) -> Done:
        """Run a command as the scripts do."""
        return self.process.submit(partial(run, self.project, *arguments, fault=fault)).result()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what ClickHouse answers."""
        return self.process.submit(query, self.project, sql).result()

    def catalogue(self) -> dict[str, str]:
        """Return the definition of each table."""
        return self.process.submit(catalogue, self.project).result()


def start(project: Project, *arguments: str, fault: Fault | None = None) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    program = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from pathlib import PosixPath\n"
        "from tests.migrator.clickhouse_project import Fault, Project, run\n"
        f"done = run({project!r}, *{arguments!r}, fault={fault!r})\n"
        "print(done.out, done.err)\n"
        "sys.exit(done.code)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
