"""The migrations of a ClickHouse database, whose runs can be repeated after they were killed.

ClickHouse has no transactions: every statement of a killed run keeps its effect. Revisions say
IF [NOT] EXISTS, and the next run repeats the unfinished one.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import clickhouse_connect.cc_sqlalchemy.alembic  # noqa: F401  # registers the dialect with Alembic
from alembic import command
from alembic.script import Script
from sqlalchemy import Connection, text

from migrator import heads
from migrator.adoption import Dialect
from migrator.clickhouse import history
from migrator.clickhouse.backup import back_up
from migrator.clickhouse.connections import (
    MissingDatabaseError,
    is_embedded,
    is_missing_folder,
    make_engine,
    open_client,
    open_or_create,
    wait_for_client,
)
from migrator.clickhouse.explain import ask
from migrator.clickhouse.locks import take_turns
from migrator.clickhouse.losses import find_losses
from migrator.clickhouse.replicas import replicate, replicate_tables
from migrator.clickhouse.rules import RULES
from migrator.clickhouse.status import interpret, read_revisions
from migrator.database import Check, Database, Report
from migrator.linter import lint
from migrator.losses import Loss
from migrator.planning import Plan, print_statements, printed_sql
from migrator.redaction import redact
from migrator.scripts import as_docstring, require_one_head
from migrator.status import Status, require_known_state
from migrator.unversioned import with_unversioned

INSERT = text("INSERT INTO alembic_version (version_num) VALUES (:revision)")
DELETE = text("""
    ALTER TABLE alembic_version DELETE WHERE version_num = :revision SETTINGS mutations_sync = 2
""")
# A mutation continues after its statement, and is retried for ever if it fails.
FAILING = text("""
    SELECT table, command, latest_fail_reason FROM system.mutations
    WHERE database = currentDatabase() AND NOT is_done AND latest_fail_reason != ''
""")


@dataclass(frozen=True, kw_only=True)
class ClickHouse(Database):
    """The migrations of a ClickHouse database. `Database` describes the other fields.

    Every method that connects raises `UnreachableError` if ClickHouse cannot be reached.

    Attributes:
        url: `clickhouse://USER:PASSWORD@HOST:PORT/DATABASE`, or `chdb:///FOLDER` with, if it is
            another one than `default`, `?database=NAME`.
        turns: The database whose lock makes runs on a server take turns; ClickHouse has none.
        replicated: Whether the database is on a cluster, with the engine Replicated.
    """

    turns: Database
    replicated: bool = False
    url_setting: str = "CLICKHOUSE_URL"

    heading = "ClickHouse"
    label = "ClickHouse"
    verified = "Verified: at the expected revision, no failing mutation."
    is_transactional = False
    compares_models = False

    def __post_init__(self) -> None:
        """Check the URL.

        Raises:
            ValueError: It is not one of ClickHouse. The message does not repeat it.
        """
        if self.url.drivername not in ("chdb", "clickhouse"):
            raise ValueError(
                f"{self.url_setting} is not a ClickHouse URL; expected chdb:///FOLDER or"
                " clickhouse://USER:PASSWORD@HOST:8123/DATABASE"
            )

    def redact(self, text: str) -> str:
        """Return a text without the passwords of both URLs and whatever looks like one."""
        return redact(text, self.url, self.turns.url)

    @contextmanager
    def only_run(self) -> Iterator[Connection]:
        """Yield a connection for a run, and keep other runs away."""
        connect = self.reading if self.replicated else partial(open_or_create, self.url)
        with self.lock(), connect() as connection:
            if self.replicated:
                replicate_tables(connection)
            yield connection

    def lock(self, suffix: str = "") -> AbstractContextManager[None]:
        """Return the lock of runs or, with a suffix, another one. An embedded database has none."""
        self.require_session()
        return nullcontext() if is_embedded(self.url) else take_turns(self.turns, suffix)

    def is_missing(self) -> bool:
        """Return whether the database is a folder that does not exist. An upgrade creates it."""
        return is_missing_folder(self.url)

    def require_session(self) -> None:
        """Raise `RefusedError` if the lock would be taken behind a pooler that cannot keep it."""
        if not is_embedded(self.url):
            self.turns.require_session()

    def status(self, connection: Connection | None = None) -> Status:
        """Return the state of ClickHouse, or of the database of `connection`. Read-only."""
        scripts = self.scripts()
        if connection is None and self.is_missing():
            return interpret(scripts, (), {})
        try:
            with self.reading() if connection is None else nullcontext(connection) as found:
                state = interpret(scripts, read_revisions(found), history.read_history(found))
                return with_unversioned(found, state)
        except MissingDatabaseError:
            return interpret(scripts, (), {})

    def reading(self) -> Connection:
        """Return a connection for reading, which takes no lock."""
        return make_engine(self.url).connect()

    def upgrade(
        self,
        revision: str = "head",
        connection: Connection | None = None,
        report: Report | None = None,
    ) -> None:
        """Apply revisions up to and including `revision`. A caller's connection gets no history."""
        with self.only_run() if connection is None else nullcontext(connection) as found:
            before = self.status(found)
            if connection is None:
                require_known_state(self, before)
            pending = before.pending_until(revision)
            if pending:
                self.settle(found, before.revisions)
            for script in pending:
                started = time.monotonic()
                if connection is None:
                    history.record(found, script, "upgrade")
                command.upgrade(self.config(found), script.revision)
                if report is not None:
                    report(script, time.monotonic() - started)

    def downgrade(
        self,
        revision: str = "-1",
        connection: Connection | None = None,
        report: Report | None = None,
        check: Check | None = None,
    ) -> None:
        """Undo revisions down to `revision`: a number of steps such as -1, an id, or `base`.

        An empty schema keeps no table of the migrations. Raises the same errors as `upgrade`.
        """
        with self.only_run() if connection is None else nullcontext(connection) as found:
            before = self.status(found)
            if connection is None and check is not None:
                check(before)
            to_undo = before.revisions_to_undo(revision)
            if to_undo:
                self.settle(found, before.start)
            for script in to_undo:
                started = time.monotonic()
                if connection is None:
                    history.record(found, script, "downgrade")
                command.downgrade(self.config(found), str(script.down_revision or "base"))
                if report is not None:
                    report(script, time.monotonic() - started)
            if not read_revisions(found):
                found.execute(text("DROP TABLE IF EXISTS migration_history"))
                found.execute(text("DROP TABLE IF EXISTS alembic_version"))

    def settle(self, connection: Connection, revisions: tuple[str, ...]) -> None:
        """Make the version table hold where a run starts, in case another one was killed."""
        rows = read_revisions(connection)
        if set(rows) == set(revisions):
            return
        command.ensure_version(self.config(connection))
        for revision in set(revisions).difference(rows):
            connection.execute(INSERT, {"revision": revision})
        for revision in set(rows).difference(revisions):
            connection.execute(DELETE, {"revision": revision})

    def plan(self, revision: str = "head", connection: Connection | None = None) -> Plan:
        """Return what an upgrade to `revision` would do. Read-only."""
        found = self.status(connection)
        require_known_state(self, found)
        pending = found.pending_until(revision)
        if not pending:
            return Plan(())
        start = found.revisions[0] if found.revisions else "base"
        span = f"{start}:{pending[-1].revision}"
        printed = print_statements(command.upgrade, self.config(), span)
        sql, statements = printed.getvalue().strip(), printed.own
        if self.replicated:
            sql, statements = replicate(sql), [replicate(it) for it in statements]
        return Plan(pending, sql, answers=tuple(self.ask(statements)))

    def ask(self, statements: Sequence[str]) -> Iterator[str]:
        """Yield what the server says of each statement, without executing it."""
        if self.is_missing():
            yield "not known: all, because there is no database yet"
            return
        try:
            with closing(open_client(self.url)) as client:
                yield from ask(client, statements)
        except MissingDatabaseError:
            yield "not known: all, because there is no database yet"

    def new_revision(self, message: str) -> Path:
        """Write an empty revision and return its path; there are no models to compare."""
        require_one_head(self.scripts())
        script = command.revision(self.config(), as_docstring(message))
        assert isinstance(script, Script), "one message makes one revision"
        heads.write_head(self.scripts(), script.revision)
        return Path(script.path)

    def lint(self) -> list[str]:
        """Return what is wrong with the revisions, as `file:line: rule message`."""
        return lint(self, RULES)

    def accept(self, scripts: Sequence[Script]) -> None:
        """Record the current text of edited revisions as the text that was applied."""
        with self.only_run() as connection:
            for script in scripts:
                history.record(connection, script, "accept")

    def dialect(self) -> Dialect:
        """Return what an adoption needs to know about ClickHouse."""
        from migrator.clickhouse.adoption import ClickHouseDialect

        return ClickHouseDialect(self)

    def record(self, connection: Connection, script: Script) -> None:
        """Record that ClickHouse is at a revision."""
        history.record(connection, script, "adopted")
        self.settle(connection, (script.revision,))

    def losses(self, found: Status, target: str) -> list[Loss]:
        """Return the tables and columns that a downgrade to `target` would delete."""
        span = f"{found.start[0]}:{target}"
        with self.reading() as connection:
            return find_losses(connection, printed_sql(command.downgrade, self.config(), span))

    def back_up(self, found: Status, lost: Sequence[Loss]) -> Path | None:
        """Store verified copies of the tables that lose something and return their folder."""
        tables = sorted({loss.table for loss in lost})
        if not tables:
            return None
        return back_up(self.url, tables, found.start[0], self.backup_folder)

    def faults(self) -> list[str]:
        """Return mutations that fail, each with the remedy."""
        with self.reading() as connection:
            return [
                f"{table}: {change} fails: {reason}; next: KILL MUTATION, and fix the revision"
                for table, change, reason in connection.execute(FAILING)
            ]

    def reserve(self, *, create: bool, wait: bool = True) -> AbstractContextManager[object]:
        """Wait for an embedded database, and keep other processes away. A server serves many."""
        if not is_embedded(self.url) or (self.is_missing() and not create):
            return nullcontext()
        return closing(wait_for_client(self.url, self.wait_seconds if wait else 0))
