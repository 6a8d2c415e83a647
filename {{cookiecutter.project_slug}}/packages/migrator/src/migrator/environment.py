"""The connections, options and checks that a project's `migrations/env.py` uses."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from logging.config import fileConfig
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, make_url

from migrator import batch
from migrator.backfill import forget_progress, is_rolled_back, note_steps, stay_in_transaction
from migrator.database import Database
from migrator.drafts.autogenerate import TableFilter, render_item
from migrator.drafts.comparators import PLUGINS
from migrator.engine import expected_warnings, explaining_types, is_sqlite
from migrator.errors import RefusedError
from migrator.history import VERSION_TABLE, Recorder
from migrator.locks import lock_id
from migrator.parameters import refusing_unbound
from migrator.soundness import check_foreign_keys

# The same lock as online. It lasts until the connection ends; psql needs ON_ERROR_STOP=1.
TAKE_LOCK = """
DO $$ BEGIN IF NOT pg_try_advisory_lock({id}) THEN
RAISE EXCEPTION 'another migration is running'; END IF; END $$
"""


def require_version_table(found: MigrationContext) -> None:
    """Refuse another version table than the one that all commands read.

    Raises:
        RefusedError: `context.configure` names another one.
    """
    schema = found.version_table_schema
    name = f"{schema}.{found.version_table}" if schema else found.version_table
    if name != VERSION_TABLE:
        option = "version_table_schema" if schema else "version_table"
        raise RefusedError(
            f"env.py sets the version table to {name}, and migrator reads {VERSION_TABLE}. Next:"
            f" remove {option} from context.configure. If the database has {name}, move it first:"
            f" ALTER TABLE {name} {'SET SCHEMA public' if schema else f'RENAME TO {VERSION_TABLE}'}"
        )


class Environment:
    """Connections, options and checks for a run of Alembic."""

    def __init__(self, database: Callable[[], Database]) -> None:
        """Set up logging for the `alembic` command.

        Args:
            database: Builds the project's migrations if the caller of Alembic passed none.
        """
        self.config = context.config
        self.build = database
        # A program that calls Alembic has set up its own logging.
        if self.config.cmd_opts is not None:
            self.set_up_logging()

    def set_up_logging(self) -> None:
        """Log as the configuration file says or, if it says nothing, as Alembic's own does."""
        if self.config.config_file_name and self.config.file_config.has_section("loggers"):
            fileConfig(self.config.config_file_name, disable_existing_loggers=False)
        else:
            logging.basicConfig(format="%(levelname)-5.5s [%(name)s] %(message)s")
            logging.getLogger("alembic.runtime.migration").setLevel(logging.INFO)

    @cached_property
    def database(self) -> Database:
        """The migrations that run; `config.attributes["url"]` replaces their URL.

        The URL never goes through the configuration file, which gives percent signs a meaning.
        """
        database: Database = self.config.attributes.get("migrations") or self.build()
        url = self.config.attributes.get("url")
        return database if url is None else database.at(make_url(url))

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Yield the connection that the caller passed, or else a new one of the only run.

        Raises:
            LockTimeoutError: Another run did not end in time.
        """
        passed: Connection | Engine | None = self.config.attributes.get("connection")
        if isinstance(passed, Connection):
            yield passed
        elif isinstance(passed, Engine):
            with passed.connect() as connection:
                yield connection
        else:
            with self.database.only_run() as connection:
                yield connection

    def online(self, connection: Connection) -> dict[str, Any]:
        """Return the options of `context.configure` for a run on a connection.

        Until `context.configure`, nothing may be executed: the first statement opens a
        transaction, and Alembic would leave the commit to whoever opened it.
        """
        return {
            "connection": connection,
            "include_name": TableFilter(connection),
            **self.options(is_sqlite=connection.dialect.name == "sqlite"),
        }

    def offline(self) -> dict[str, Any]:
        """Return the options of `context.configure` for printing the SQL."""
        url = self.database.url
        return {
            "url": url,
            "literal_binds": True,
            "dialect_opts": {"paramstyle": "named"},
            **self.options(is_sqlite=is_sqlite(url)),
        }

    def options(self, *, is_sqlite: bool) -> dict[str, Any]:
        """Return the options that every run needs."""
        options: dict[str, Any] = {
            "compare_type": True,
            "compare_server_default": True,
            "autogenerate_plugins": PLUGINS,
            "render_item": render_item,
            "record": self.config.attributes.get("record"),
            # Revisions run on SQLite whichever database they were written on.
            "render_as_batch": True,
            # PostgreSQL keeps each revision that succeeded. SQLite keeps all or none: the file
            # is locked once, for the whole run.
            "transaction_per_migration": not is_sqlite,
            "transactional_ddl": True,
            "on_version_apply": (forget_progress, batch.forget_batches),
        }
        # Databases of tests need no history.
        if self.config.attributes.get("history", True):
            record = Recorder(self.config.attributes.get("report"))
            options["on_version_apply"] += (record,)
        return options

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Open Alembic's transaction: print the lock before it, or check rows at its end.

        Raises:
            RefusedError: env.py gives the version table another name or schema.
            RuntimeError: Rows of a SQLite database refer to missing ones; the run is rolled back.
        """
        if context.is_offline_mode():
            self.print_lock()
        found = context.get_context()
        require_version_table(found)
        dialect = found.dialect
        if not context.is_offline_mode() and (dialect.name == "sqlite" or is_rolled_back(found)):
            stay_in_transaction(found)
        note_steps(found)
        with (
            batch.without_warnings(),
            expected_warnings(),
            explaining_types(),
            refusing_unbound(dialect),
            context.begin_transaction(),
        ):
            self.check()
            yield
            if not context.is_offline_mode():
                check_foreign_keys(context.get_bind())

    def check(self) -> None:
        """Look at the database again, now that other runs are kept away from it."""
        check = self.config.attributes.get("check")
        if check is not None:
            connection = context.get_bind()
            check(connection)
            # The transaction of each revision begins later; none stays idle meanwhile.
            if not is_sqlite(self.database.url):
                connection.rollback()

    def print_lock(self) -> None:
        """Print the statements that take the lock on PostgreSQL."""
        if not is_sqlite(self.database.url):
            context.execute(f"SET lock_timeout = {self.database.lock_timeout_ms}")
            context.execute(TAKE_LOCK.format(id=lock_id(self.database.name)))
