"""PostgreSQL: databases copied from a migrated template, then put back after each test."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..config import Isolation
from ..database import FULL, IsolatedDatabase
from ..guard.urls import describe
from ..report import IsolationReport
from ..session import close
from ..signature import PREFIX, identify
from .database import PostgresqlDatabase
from .server import Server, server_for_tests
from .templates import Templates


@dataclass
class PostgresqlBackend:
    """Makes PostgreSQL databases for this process. The server is started when one is needed."""

    isolation: Isolation[Any]
    report: IsolationReport
    project: Path  # which has an embedded server of its own
    run: str  # the id of the run
    stack: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def server(self) -> Server:
        """The server, until `close` is called."""
        return self.stack.enter_context(server_for_tests(self.project, self.run))

    @cached_property
    def templates(self) -> Templates:
        """The template databases on the server."""
        return Templates(self.server, self.isolation, self.report)

    def build_template(self, *, recreate: bool) -> str:
        """Make the migrated template, unless an earlier run left it, and return where it is."""
        name = self.templates.migrated(recreate=recreate)
        return describe(self.server.url.set(database=name))

    def shared(self, _file: Path | None) -> closing[PostgresqlDatabase]:
        """Give the database of `db_session`."""
        return self.isolated()

    def isolated(self) -> closing[PostgresqlDatabase]:
        """Give a migrated database for tests that have it to themselves."""
        template = self.templates.migrated()
        return closing(PostgresqlDatabase(self.server, self.server.new_name(), template))

    @contextmanager
    def requested(
        self, name: str, schema: str = FULL, scenario: str | None = None
    ) -> Iterator[tuple[Any, IsolatedDatabase]]:
        """Give a session on a new database, and the database; drop it in the end."""
        template = self.templates.requested(schema, scenario)
        test_id = identify(name)
        with ExitStack() as stack:
            with self.report.timed("postgresql creation"):
                storage = PostgresqlDatabase(self.server, f"{PREFIX}{test_id}", template)
            stack.callback(self.report.timed("postgresql clean-up")(storage.close))
            database = IsolatedDatabase(
                storage, self.isolation, self.report, test_id=test_id, schema=schema
            )
            stack.callback(database.close)
            session = database.session()
            stack.callback(close, session)
            yield session, database

    def close(self) -> None:
        """Disconnect; the last process that uses an embedded server stops it."""
        self.stack.close()
