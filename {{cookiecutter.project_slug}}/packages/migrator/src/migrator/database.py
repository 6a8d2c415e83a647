"""The migrations of a database: what they need, and what can be done with them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Self

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.schema import CreateTable

from migrator import engine, history, runs
from migrator.errors import RefusedError
from migrator.locks import application_name, one_run_at_a_time
from migrator.poolers import find_unfit_pooler
from migrator.redaction import redact
from migrator.scratch import rolled_back, scratch_beside, upgrade_to_head
from migrator.scripts import as_docstring, find_revision, read_scripts, require_one_head
from migrator.soundness import find_faults
from migrator.status import Status, compare, read_revisions, require_known_state

# What only some commands need is imported by them: most runs have nothing to do.
if TYPE_CHECKING:
    from migrator.adoption import Adoption, Dialect
    from migrator.drafts.recording import Record
    from migrator.losses import Loss
    from migrator.planning import Plan

# Called after each revision with the seconds it took.
Report = Callable[[Script, float], None]
# Called with the state of the database once other runs are kept away, before anything changes.
Check = Callable[[Status], None]


@dataclass(frozen=True, kw_only=True)
class Database:
    """The migrations of a SQLite or PostgreSQL database. Built once, and passed on.

    README.md says why each is there.

    Attributes:
        url: The database.
        ini: The path of `alembic.ini`.
        name: The project. Runs of the same name take turns.
        backup_folder: Where a downgrade stores its backup.
        section: The section of `alembic.ini`.
        wait_seconds: How long a run waits for another one to end.
        lock_timeout_ms: How long a statement waits for a lock on PostgreSQL.
        lock_tries: How often a run tries to get such a lock. A SQLite file is tried once.
        lock_wait_seconds: The time after which it does not try again.
        production: Whether a downgrade requires `--allow-production` and a target.
        url_setting: The setting that holds the URL; messages name it.
        direct_url_setting: The setting for a URL that leads past a connection pooler.
    """

    url: URL
    ini: Path
    name: str
    backup_folder: Path
    section: str = "alembic"
    wait_seconds: float = 60
    lock_timeout_ms: int = 5000
    lock_tries: int = 5
    lock_wait_seconds: float = 60
    production: bool = False
    url_setting: str = "DATABASE_URL"
    direct_url_setting: str = "MIGRATION_DATABASE_URL"

    # What messages call the database: at the start of a line, and within one.
    heading = "Database"
    label = "the database"
    # What a successful upgrade has verified.
    verified = (
        "Verified: at the expected revision, no invalid index or constraint, no orphaned rows,"
        " no leftover tables."
    )
    is_transactional = True
    # Whether a new revision holds the difference to the models.
    compares_models = True

    def __post_init__(self) -> None:
        """Replace an asynchronous driver.

        Raises:
            RefusedError: The URL is of another database. The message does not repeat it.
        """
        if self.url.get_backend_name() not in ("sqlite", "postgresql"):
            raise RefusedError(
                f"{self.url_setting} is not a SQLite or PostgreSQL URL; expected sqlite:///FILE or"
                " postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
            )
        object.__setattr__(self, "url", engine.sync_url(self.url))

    @property
    def root(self) -> Path:
        """The folder of `alembic.ini`."""
        return self.ini.parent

    def at(self, url: URL) -> Self:
        """Return the same migrations for another database."""
        return replace(self, url=url)

    def config(
        self,
        connection: Connection | None = None,
        report: Report | None = None,
        check: Callable[[Connection], None] | None = None,
    ) -> Config:
        """Return Alembic's configuration, bound to a connection if one is given."""
        # Alembic prints to a stream. Python callers get results and exceptions instead.
        config = Config(self.ini, ini_section=self.section, stdout=StringIO())
        # The parser gives percent signs a meaning, also in the path that %(here)s stands for.
        here = config.file_config.defaults()["here"].replace("%", "%%")
        config.file_config.set("DEFAULT", "here", here)
        config.attributes.update(migrations=self, connection=connection, report=report, check=check)
        return config

    def scripts(self) -> ScriptDirectory:
        """Return the revisions as they are on disk now, or raise `RefusedError`."""
        return read_scripts(self.config(), self.relative_name)

    def relative_name(self, path: str | Path) -> str:
        """Return a path relative to the project's folder if it lies inside."""
        path = Path(path)
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)

    def redact(self, text: str) -> str:
        """Return a text without the passwords of the URL and whatever looks like one."""
        return redact(text, self.url)

    def engine(self) -> Engine:
        """Return an engine for one run."""
        return engine.make_migration_engine(
            self.url, self.lock_timeout_ms, self.wait_seconds, application_name(self.name)
        )

    @contextmanager
    def only_run(self) -> Iterator[Connection]:
        """Yield a connection for a run, and keep other runs away.

        Raises:
            LockTimeoutError: Another run did not end in time.
            RefusedError: Behind this connection pooler, the lock would protect nothing.
        """
        self.require_session()
        with (
            one_run_at_a_time(self.url, self.name, self.wait_seconds),
            self.engine().connect() as connection,
        ):
            yield connection

    def require_lasting(self) -> None:
        """Raise `RefusedError` if the database would not outlive this command."""
        if engine.is_in_memory(self.url):
            raise RefusedError(
                f"{self.url_setting} is an in-memory database; it would vanish when this command"
                " ends"
            )

    def is_missing(self) -> bool:
        """Return whether the database is a file that does not exist. An upgrade creates it."""
        return engine.is_missing_file(self.url)

    def require_session(self) -> None:
        """Raise `RefusedError` behind a pooler that gives a connection no session of its own."""
        reason = None if engine.is_sqlite(self.url) else find_unfit_pooler(self.url)
        if reason:
            raise RefusedError(
                f"{self.url_setting} leads to a connection pooler that {reason}. Next: set"
                f" {self.direct_url_setting} to the address of the server itself"
            )

    def status(self, connection: Connection | None = None) -> Status:
        """Return the state of the database, or of the one that `connection` leads to. Read-only."""
        from migrator.unversioned import with_unversioned

        scripts = self.scripts()
        if connection is None and self.is_missing():
            return compare(scripts, (), {})
        with nullcontext(connection) if connection else self.reading() as found:
            state = compare(scripts, read_revisions(found), history.read_history(found))
            return with_unversioned(found, state)

    def reading(self) -> AbstractContextManager[Connection]:
        """Return a connection for reading, which takes no lock of a run."""
        return engine.reading(self.url, self.wait_seconds)

    def upgrade(
        self,
        revision: str = "head",
        connection: Connection | None = None,
        report: Report | None = None,
    ) -> None:
        """Apply revisions up to and including `revision`: an id, `head`, or steps such as +1.

        Raises:
            LockTimeoutError: Another session kept a lock.
            RefusedError: `require_known_state` refuses the state that the run finds.
            alembic.util.CommandError: The revision is unknown.
            sqlalchemy.exc.SQLAlchemyError: A statement failed; the database is at a whole revision.
        """
        if revision == "head":
            require_one_head(self.scripts())
        self.run(command.upgrade, revision, connection, report, partial(require_known_state, self))

    def downgrade(
        self,
        revision: str = "-1",
        connection: Connection | None = None,
        report: Report | None = None,
        check: Check | None = None,
    ) -> None:
        """Undo revisions down to `revision`: a number of steps such as -1, an id, or `base`.

        An empty schema keeps no table of Alembic, unless a connection was passed. Without one,
        `check` may refuse the state that the run finds. Raises the same errors as `upgrade`.
        """
        self.run(command.downgrade, revision, connection, report, check)
        if connection is None and not self.status().revisions:
            self.drop_version_table()

    def run(
        self,
        action: Callable[[Config, str], object],
        revision: str,
        connection: Connection | None,
        report: Report | None,
        check: Check | None,
    ) -> None:
        """Run a command of Alembic, on a connection of the caller or in a run of its own."""

        def check_state(found: Connection) -> None:
            if check is not None:
                check(self.status(found))

        if connection is not None:
            action(self.config(connection, report), revision)
            return
        retries = runs.pauses(self.lock_tries, self.lock_wait_seconds)
        runs.run(action, self.config(None, report, check_state), revision, retries)

    def drop_version_table(self) -> None:
        """Drop Alembic's own table, unless another run has upgraded the database meanwhile."""
        with self.only_run() as connection, connection.begin():
            if not read_revisions(connection):
                connection.execute(text("DROP TABLE IF EXISTS alembic_version"))

    def plan(self, revision: str = "head", connection: Connection | None = None) -> "Plan":
        """Return what an upgrade to `revision` would do. Read-only.

        Raises:
            RefusedError: The upgrade would be refused.
            UnknownRevisionError: There is no such revision.
        """
        from migrator import planning

        if connection is None:
            self.require_session()
        state = self.status(connection)
        require_known_state(self, state)
        pending = state.pending_until(revision)
        if not pending:
            return planning.Plan(())
        start = state.revisions[0] if state.revisions else "base"
        url = connection.engine.url if connection else self.url
        if engine.is_sqlite(url):
            return planning.plan_sqlite(self.config, start, pending)
        with (
            nullcontext(connection)
            if connection
            else engine.reading(url, self.wait_seconds) as found
        ):
            return planning.plan_postgresql(found, self.at(url), start, pending)

    def new_revision(self, message: str) -> Path:
        """Write a revision with what the models have and the migrations lack; return its path.

        The head file names it then.

        Raises:
            RefusedError: There are two heads, so the revision would follow neither or both; or the
                migrations do not run on an empty database.
        """
        from migrator import heads
        from migrator.drafts.draft import Draft
        from migrator.failures import describe_error

        require_one_head(self.scripts())
        record: Record = {}
        with self.scratch() as connection:
            config = self.config(connection)
            config.attributes["record"] = record
            try:
                upgrade_to_head(config, connection)
            except Exception as error:
                raise RefusedError(
                    "the models are compared with a scratch database, on which the migrations fail:"
                    f" {describe_error(self, error)}. Next: make them run on an empty database of"
                    " this server, and pass --accept-edited to the next upgrade; or write the"
                    " revision by hand, beginning with `alembic revision`"
                ) from error
            script = command.revision(
                config,
                as_docstring(message),
                autogenerate=True,
                process_revision_directives=Draft(record),
            )
        assert isinstance(script, Script), "one message makes one revision"
        heads.write_head(self.scripts(), script.revision)
        return Path(script.path)

    @contextmanager
    def scratch(self) -> Iterator[Connection]:
        """Yield a connection to an empty database of the same kind, which is then dropped.

        What revisions do on it is undone, also where it belongs to the server.
        """
        with (
            scratch_beside(self.url, self.name, self.wait_seconds) as url,
            rolled_back(self.at(url).engine()) as connection,
        ):
            yield connection

    def lint(self) -> list[str]:
        """Return lines of `file:line: rule message`, or raise `LinterError`."""
        from migrator.linter import lint, rules, sql

        return lint(self, rules.RULES, sql.check_sql)

    def lint_source(self, path: Path) -> list[str]:
        """Return what the rules find in the source of one revision, without squawk."""
        from migrator.linter import check_source, format_finding, rules

        findings = check_source(path.read_text(encoding="utf-8"), rules.RULES)
        return [format_finding(self.relative_name(path), finding) for finding in findings]

    def accept(self, scripts: Sequence[Script]) -> None:
        """Record the current text of edited revisions as the text that was applied."""
        with self.engine().begin() as connection:
            for script in scripts:
                connection.execute(history.insert(script, "accept", None))

    def adopt(self, revision: str | None = None) -> "Adoption":
        """Record the revision that a database without one equals; change nothing else.

        With `revision` the database has to equal this one. What it equals or differs in is in the
        result, whose `revision` is None if nothing was recorded.

        Raises:
            LockTimeoutError: Another run did not end in time.
            RefusedError: There is no way to make a scratch database.
            UnknownRevisionError: There is no such revision.
        """
        from migrator import adoption

        chain = adoption.run_revisions(self.dialect())
        wanted = None if revision is None else find_revision(self.scripts(), revision).revision
        with self.only_run() as connection, connection.begin():
            if not self.status(connection).unversioned:
                return adoption.Adoption()
            found = adoption.compare(self.dialect(), connection, chain, wanted)
            if found.revision:
                self.record(connection, found.equal[0])
            return found

    def dialect(self) -> "Dialect":
        """Return what an adoption needs to know about the kind of database."""
        from migrator.adoption.postgresql import PostgreSQL
        from migrator.adoption.sqlite import SQLite

        return SQLite(self) if engine.is_sqlite(self.url) else PostgreSQL(self)

    def record(self, connection: Connection, script: Script) -> None:
        """Record that a database is at a revision, in the transaction of the connection."""
        config = self.config(connection)
        config.attributes["history"] = False
        command.stamp(config, script.revision)
        connection.execute(CreateTable(history.HISTORY, if_not_exists=True))
        connection.execute(history.insert(script, "adopted", None))

    def losses(self, found: Status, target: str) -> "list[Loss]":
        """Return the tables and columns that a downgrade to `target` would delete."""
        from migrator.losses import find_losses

        return find_losses(self, found.revisions[0], target)

    def back_up(self, found: Status, lost: "Sequence[Loss]") -> Path | None:
        """Store a verified backup and return its path; None if there is nothing to back up."""
        from migrator import backup

        return backup.back_up(self.url, found.revision, self.backup_folder, self.wait_seconds)

    def faults(self) -> list[str]:
        """Return what is wrong with the database after a run, each with the remedy."""
        if self.is_missing():
            return []
        with self.reading() as connection:
            return find_faults(connection)

    def reserve(self, *, create: bool, wait: bool = True) -> AbstractContextManager[object]:
        """Return a context that keeps other processes away from an embedded database.

        If the database does not exist, it is created, or left alone. Without `wait`, one that
        another process uses is an `InUseError` at once.
        """
        return nullcontext()
