"""A copy of the sample that tests may change, and the commands on it."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from migrator import Database, Exit, main
from migrator.testing import read_catalogue
from migrator.testing.catalogue import Catalogue

from tests.migrator.sample.migrate import SCRIPTS
from tests.running import LIMIT

SAMPLE = Path(__file__).parent / "sample"
COMMANDS = "tests.migrator.sample.migrate"
HEAD = "0004"
REVISIONS = ["0001", "0002", "0003", HEAD]


@dataclass(frozen=True)
class Project:
    """A copy of the sample, and a database.

    Attributes:
        database: The migrations.

    """

    database: Database

    @classmethod
    def in_folder(cls, root: Path, url: sa.URL) -> "Project":
        """Copy the sample into a folder. Runs wait for earlier ones as long as they take."""
        for name in ("migrations", "events"):
            shutil.copytree(SAMPLE / name, root / name)
        for name in ("alembic.ini", ".squawk.toml"):
            shutil.copy(SAMPLE / name, root)
        return cls(
            Database(
                url=url,
                ini=root / "alembic.ini",
                name="sample",
                backup_folder=root / "backups",
                wait_seconds=LIMIT,
            )
        )

    @property
    def root(self) -> Path:
        """The folder."""
        return self.database.root

    @property
    def versions(self) -> Path:
        """The folder of the revisions."""
        return self.root / "migrations" / "versions"

    @property
    def dialect(self) -> str:
        """The kind of database."""
        return self.database.url.get_backend_name()

    def having(self, **changes: Any) -> "Project":
        """Return the same project with other settings."""
        return Project(replace(self.database, **changes))

    def run(self, *arguments: str) -> int:
        """Run a command, as the scripts do."""
        return main(lambda: self.database, arguments, names=SCRIPTS)

    def start(
        self,
        *words: str,
        prefix: Sequence[str] = (),
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.STDOUT,
        **variables: str,
    ) -> subprocess.Popen[str]:
        """Start a module of Python in a process of its own: its name and its arguments.

        A prefix is a program that starts it, with its arguments.
        """
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "SAMPLE": str(self.root),
            "DATABASE_URL": self.database.url.render_as_string(hide_password=False),
            **variables,
        }
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", *words],
            cwd=self.root,
            env=environment,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )

    def upgraded(self) -> "Project":
        """Apply all migrations."""
        assert self.run("upgrade") == Exit.DONE
        return self

    def write(self, name: str, upgrade: str, downgrade: str = "pass") -> Path:
        """Write a revision behind the last one: its name, which is its id as well, and its code."""
        [before] = self.database.scripts().get_heads()
        path = self.versions / f"{name}.py"
        path.write_text(
            f'"""{name}"""\n'
            "import sqlalchemy as sa\n"
            "from alembic import op\n"
            f"revision, down_revision = {name!r}, {before!r}\n"
            f"def upgrade() -> None:\n{textwrap.indent(upgrade, '    ')}\n"
            f"def downgrade() -> None:\n{textwrap.indent(downgrade, '    ')}\n"
        )
        return path

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """Yield a connection as the application would open it."""
        with sa.create_engine(self.database.url, poolclass=sa.NullPool).connect() as connection:
            yield connection

    def execute(self, *statements: str) -> None:
        """Execute statements and commit them."""
        with self.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
            connection.commit()

    def query(self, statement: str) -> list[Any]:
        """Return the first column of what a query finds."""
        with self.connect() as connection:
            return list(connection.exec_driver_sql(statement).scalars())

    def catalogue(self) -> Catalogue:
        """Return the contents of the database."""
        with self.connect() as connection:
            return read_catalogue(connection)

    def tables(self) -> set[str]:
        """Return the names of the tables."""
        with self.connect() as connection:
            return set(sa.inspect(connection).get_table_names())
