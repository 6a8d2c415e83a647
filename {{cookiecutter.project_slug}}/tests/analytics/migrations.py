"""Migrations of ClickHouse on trial: a copy of the project's, and a process to run them in.

chdb has one folder to a process. The tests of a run may use another one, so what these tests do
with ClickHouse happens in a process beside.
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
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from sqlalchemy import Engine, event, text

from placeholder_service.analytics import migrate
from placeholder_service.analytics.client import make_engine, open_client
from placeholder_service.analytics.migrate import commands
from placeholder_service.analytics.migrate import config as clickhouse
from placeholder_service.db.migrate import config as transactional
from placeholder_service.settings import PROJECT_ROOT, Settings

from tests.migrations.reversible import needs_a_way_down

REVISIONS = [
    script.revision for script in reversed(list(clickhouse.script_directory().walk_revisions()))
]
HEAD = REVISIONS[-1]
goes_down_to_base = needs_a_way_down(clickhouse.script_directory())
CATALOGUE = """
    SELECT name, create_table_query FROM system.tables
    WHERE database = currentDatabase() ORDER BY name
"""
HELD: list[Client] = []
CHANGE = re.compile(r"\s*(ALTER|CREATE|DROP|INSERT)\b")


@dataclass(frozen=True)
class Project:
    """A folder with migrations, a SQLite file, and a ClickHouse that chdb embeds.

    Attributes:
        root: The folder.
        variables: What of the environment is different.
    """

    root: Path
    variables: tuple[tuple[str, str], ...] = ()

    @classmethod
    def in_folder(cls, root: Path) -> "Project":
        """Make one with the revisions there are."""
        shutil.copy(PROJECT_ROOT / "alembic.ini", root)
        shutil.copytree(PROJECT_ROOT / "migrations", root / "migrations")
        variables = {
            "DATABASE_URL": f"sqlite:///{root}/service.db",
            "CLICKHOUSE_URL": f"chdb:///{root}/clickhouse",
            "BACKUP_FOLDER": f"{root}/backups",
            "MIGRATION_WAIT_SECONDS": "60",
        }
        return cls(root, tuple(variables.items()))

    def having(self, **variables: str) -> "Project":
        """Return the same with another environment."""
        return Project(self.root, (*self.variables, *variables.items()))

    @property
    def revisions(self) -> Path:
        """Where the revisions of ClickHouse are."""
        return self.root / "migrations" / "analytics" / "versions"

    @property
    def folder(self) -> Path:
        """Where ClickHouse keeps its data."""
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
    """What goes wrong: a run fails, or is killed, after its nth statement that changes a thing."""

    number: int
    kill: bool = False


def enter(project: Project) -> None:
    """Let this process work on a project."""
    os.environ.update(project.variables)
    for module in (clickhouse, transactional):
        vars(module)["PROJECT_ROOT"] = project.root


def run(project: Project, *arguments: str, fault: Fault | None = None) -> Done:
    """Run one command, as the scripts do."""
    enter(project)
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        failing(fault) if fault else contextlib.nullcontext(),
    ):
        code = commands.main(arguments)
    return Done(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def failing(fault: Fault) -> Iterator[None]:
    """Let a fault happen meanwhile."""
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


def ask(project: Project, sql: str) -> list[tuple[Any, ...]]:
    """Return what ClickHouse answers."""
    enter(project)
    with make_engine(Settings().clickhouse).connect() as connection:
        result = connection.execute(text(sql))
        return [tuple(row) for row in result] if result.returns_rows else []


def walk(project: Project) -> list[str]:
    """Go up and down on a connection of one's own, each way twice, and return the revisions."""
    enter(project)
    found = []
    with make_engine(Settings().clickhouse).connect() as connection:
        for _ in range(2):
            migrate.upgrade(connection=connection)
            found.append(migrate.status(connection).revision)
        for target in ("-1", HEAD):
            migrate.downgrade(target, connection)
            found.append(migrate.status(connection).revision)
    return found


def hold(project: Project) -> None:
    """Open ClickHouse, and keep it open for ever."""
    enter(project)
    HELD.append(open_client(Settings().clickhouse))


def catalogue(project: Project) -> dict[str, str]:
    """Return what ClickHouse says of each table."""
    return dict(ask(project, CATALOGUE))


Started = subprocess.Popen[str]


class Embedded:
    """A project, and the process in which its ClickHouse runs.

    Attributes:
        project: The project.
    """

    def __init__(self, project: Project, process: Executor) -> None:
        """Put the two together."""
        self.project = project
        self.process = process

    def run(self, *arguments: str, fault: Fault | None = None) -> Done:
        """Run a command as the scripts do."""
        return self.process.submit(partial(run, self.project, *arguments, fault=fault)).result()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what ClickHouse answers."""
        return self.process.submit(ask, self.project, sql).result()

    def catalogue(self) -> dict[str, str]:
        """Return what ClickHouse says of each table."""
        return self.process.submit(catalogue, self.project).result()


def start(project: Project, *arguments: str, fault: Fault | None = None) -> Started:
    """Start a command in a process of its own."""
    program = (
        "import sys\n"
        "from pathlib import PosixPath\n"
        "from tests.analytics.migrations import Fault, Project, run\n"
        f"done = run({project!r}, *{arguments!r}, fault={fault!r})\n"
        "print(done.out, done.err)\n"
        "sys.exit(done.code)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
