"""One PostgreSQL database, put back after each test: see `marks.py`.

If putting rows back is not enough, another copy of the template takes its place, which a thread
has made in the meantime.
"""

import secrets
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from sqlalchemy import URL, Connection, Engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from ..difference import OWN_SCHEMA, Difference, difference
from ..queries import own_engine
from ..session import send_savepoints
from ..signature import COMMENT, PREFIX
from ..verdicts import (
    BrokenConstraintError,
    FailedStatementError,
    SecondConnectionError,
    VanishedTransactionError,
)
from .server import Server, connect_server
from .statements import (
    AUTOCOMMIT,
    execute,
    forget_notifications,
    is_free,
    run_at_once,
    send,
    sqlstate,
)
from .templates import connected

# Where isolation levels are not settings of the session, and these statements leave all the driver
# knows.
DRIVERS = ("asyncpg", "psycopg", "psycopg2", "psycopg_async")

# Modules whose functions set nothing that the statements below take back. Those of a service may be
# wrapped by `sqlalchemy.event`; `sqlalchemy.util` wraps what is called once.
KNOWN = (
    "sqlalchemy.engine.",
    "sqlalchemy.dialects.",
    "sqlalchemy.util.",
    f"{__name__.partition('.')[0]}.",
)

# How SQLSTATEs begin that say that a transaction, its savepoint or the connection is gone.
VANISHED = ("25P01", "3B", "08", "57P", "none")

# How long a second connection of `db_session` waits for the first one, and the SQLSTATE after that.
PATIENCE = "5s"
LOCK_NOT_AVAILABLE = "55P03"

# What a rollback does not take back, and what else it does.
FORGET = ("DISCARD SEQUENCES", f"SELECT {OWN_SCHEMA}.forget()")
FORGET_SETTINGS = (
    "SET SESSION AUTHORIZATION DEFAULT",
    "RESET ALL",
    "CLOSE ALL",
    "UNLISTEN *",
    "DISCARD TEMP",
    *FORGET,
)


class PostgresqlDatabase:
    """One database on a server, put back to its template's state as often as you like."""

    kind = "postgresql"
    # A database with connections cannot be copied.
    is_exclusive = True

    def __init__(self, server: Server, name: str, template: str) -> None:
        """Copy the template."""
        self.server = server
        self.name = name
        self.template = template
        self.canary = secrets.randbits(62)
        self.url = self.create(server, name, template)
        self.snapshots: dict[str, str] = {}
        # The one whose transaction `db_session` shares.
        self.shared: Connection | None = None
        # Kept for the next reset: connecting takes longer than all of it.
        self.connection: Connection | None = None
        self.thread = ThreadPoolExecutor(1)
        self.spare: Future[tuple[str, URL]] | None = None
        self.replaced: list[str] = []

    def create(self, server: Server, name: str, source: str) -> URL:
        """Copy a database, leave a sign in the copy that it was made here, return its URL."""
        url = server.create(name, source)
        with connected(url) as connection:
            connection.execute(text(f"SELECT setval('{OWN_SCHEMA}.canary', {self.canary})"))
            connection.commit()
        return url

    # For db_session

    def attach(self, engine: Engine) -> None:
        """Make the engine's transactions begin with a savepoint, in one message.

        The driver must not begin by itself. The isolation level is the service's all the same:
        SQLAlchemy has asked for it before.
        """

        def leave_transactions(dbapi_connection: DBAPIConnection, _record: object) -> None:
            # The service's listeners may have set something, and left that in a transaction.
            dbapi_connection.commit()
            engine.dialect.set_isolation_level(dbapi_connection, "AUTOCOMMIT")

        def begin(connection: Connection) -> None:
            start = f"BEGIN ISOLATION LEVEL {connection.default_isolation_level}"
            limit = []
            if self.shared is None or self.shared.closed:
                self.shared = connection
            elif connection is not self.shared:
                # It would wait for a lock of the first one until the test ends.
                limit = [f"SET LOCAL lock_timeout = '{PATIENCE}'"]
            send(connection, start, *limit, "SAVEPOINT isolation")

        def explain(context: ExceptionContext) -> None:
            if (
                context.connection is not self.shared
                and sqlstate(context.original_exception) == LOCK_NOT_AVAILABLE
            ):
                raise SecondConnectionError from context.original_exception

        hide_own_schema(engine)
        lead_to_socket(engine)
        event.listen(engine, "connect", leave_transactions)
        # Before the service's own listeners, which may work in the transaction.
        event.listen(engine, "begin", begin, insert=True)
        event.listen(engine, "handle_error", explain)
        send_savepoints(engine, send)
        vars(engine.dialect)["do_ping"] = lambda _: True

    def finish(self, connection: Connection, statement: str) -> None:
        """Check deferred constraints as a commit does, and end the test's transaction."""
        driver: Any = connection.dialect.loaded_dbapi
        end = "SET CONSTRAINTS ALL IMMEDIATE", "RELEASE SAVEPOINT isolation", statement
        try:
            send(connection, *end, *FORGET)
        except driver.Error as error:
            state = sqlstate(error)
            if state == "25P02":
                raise FailedStatementError from error
            if state.startswith(VANISHED):
                raise VanishedTransactionError from error
            # Triggers of a deferred constraint raise what they like.
            raise BrokenConstraintError(str(error).splitlines()[0]) from error

    def clean(self, engine: Engine) -> None:
        """Put everything back, whatever happened to the database since."""
        engine.dispose()
        self.reset()

    def left_over(self) -> Difference:
        """Return the rows in which the database differs from its template."""
        first = self.server.new_name()
        # The template itself accepts no connections.
        url = self.server.create(first, self.template)
        with connected(url) as old, connected(self.url) as new:
            found = difference(old, new)
        self.server.drop(first)
        return found

    # For tests that have it to themselves

    def watch(self, engine: Engine) -> None:
        """Hide what is testdb's own. PostgreSQL itself knows what is set in a session."""
        hide_own_schema(engine)
        lead_to_socket(engine)

    def forget_settings(self, engine: Engine, used: Sequence[ConnectionPoolEntry]) -> bool:
        """Undo what a test set in the sessions of connections, or say that this cannot be done.

        It cannot where the service has set up the sessions by functions of its own: PostgreSQL
        lists what is set in a session, but no settings of another name than its own.
        """
        dialect = engine.dialect
        if dialect.driver not in DRIVERS or sets_up_sessions(engine):
            return not used
        try:
            for record in used:
                connection: Any = record.dbapi_connection
                raw: Any = record.driver_connection
                if is_free(dialect, raw) and not raw.pgconn.transaction_status:
                    run_at_once(raw, *FORGET_SETTINGS)
                    forget_notifications(raw)
                    continue
                # Not the dialect's levels: they leave one on a connection that had none.
                autocommit = connection.autocommit
                connection.autocommit = True
                execute(dialect, connection, *FORGET_SETTINGS)
                connection.autocommit = autocommit
                forget_notifications(raw)
        except dialect.loaded_dbapi.Error:
            # The test has closed it, or the server has.
            return False
        return True

    def reset(self) -> str:
        """Put back rows, sequences and schema. Returns what was needed, as `renew` does."""
        if done := self.reset_rows():
            return done
        self.copy_from(self.template)
        return "copy"

    def renew(self, *, is_in_use: bool = False) -> str:
        """Put it back, maybe as another database.

        Returns what was needed: nothing; rows; schema, if new tables were dropped; spare, if
        another database took its place.
        """
        if not is_in_use and (done := self.reset_rows()):
            return done
        self.release_connection()
        old = self.name
        self.server.sign_again(old)
        self.name, self.url = self.take_spare()
        self.replaced.append(old)
        self.spare = self.thread.submit(self.make_spare)
        return "spare"

    def take_spare(self) -> tuple[str, URL]:
        """Return the spare's name and URL; if it could not be made, that is tried once more."""
        spare, self.spare = self.spare, None
        if spare is None or spare.exception() is not None:
            spare = self.thread.submit(self.make_spare)
        return spare.result()

    def make_spare(self) -> tuple[str, URL]:
        """In the thread, drop what copies have replaced and make the next; return name and URL."""
        with connect_server(self.server.url, self.server.run) as server:
            while self.replaced:
                server.drop(self.replaced[0])
                del self.replaced[0]
            name = server.new_name()
            return name, self.create(server, name, self.template)

    def reset_rows(self) -> str | None:
        """Put back rows and sequences, and say if there was need; None if that is not enough."""
        if self.connection is None:
            try:
                self.connection = own_engine(self.url, connect_args=AUTOCOMMIT).connect()
            except DBAPIError:
                # It is not there, because an earlier copy failed, or takes no more connections.
                return None
        raw: Any = self.connection.connection.driver_connection
        try:
            needed = run_at_once(raw, f"SELECT {OWN_SCHEMA}.reset()")
        except self.connection.dialect.loaded_dbapi.Error:
            # Another session holds a lock, or the rows cannot be put back as they were.
            if raw.closed:
                self.connection.invalidate()
            return None
        return None if needed == "copy" else needed

    def release_connection(self) -> None:
        """Close the connection that is kept for the next reset."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def copy_from(self, source: str) -> None:
        """Replace the database by a copy of another one. Its connections are closed."""
        self.release_connection()
        # It is not there if an earlier copy failed.
        self.server.sign_again(self.name)
        if self.name in self.server.databases():
            self.server.drop(self.name)
        self.create(self.server, self.name, source)

    def snapshot(self, name: str) -> None:
        """Keep the present state under a name. Connections are closed for it."""
        if name in self.snapshots:
            self.server.drop(self.snapshots.pop(name))
        copy = self.server.new_name()
        self.copy_to(copy)
        self.snapshots[name] = copy

    def restore(self, name: str) -> None:
        """Go back to a snapshot. Connections are closed for it."""
        self.copy_from(self.snapshots[name])

    def connected(self) -> Connection:
        """Return a connection to the database."""
        return connected(self.url)

    def opened(self, name: str) -> Connection:
        """Return a connection to a snapshot."""
        return connected(self.url.set(database=self.snapshots[name]))

    def copy_to(self, name: str) -> URL:
        """Copy the database, which nothing may be connected to, and return the copy's URL."""
        self.release_connection()
        query = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = :name AND backend_type = 'client backend'"
        )
        self.server.connection.execute(query, {"name": self.name})
        return self.server.create(name, self.name)

    def keep(self) -> str:
        """Copy the present state to a database that outlives the run; return what opens it."""
        name = f"{PREFIX}kept_{uuid4().hex[:8]}"
        url = self.copy_to(name).set(drivername="postgresql")
        self.server.execute(f"COMMENT ON DATABASE \"{name}\" IS '{COMMENT} kept'")
        return f"psql '{url.render_as_string(hide_password=False)}'"

    def forget_snapshots(self) -> None:
        """Drop all snapshots."""
        while self.snapshots:
            self.server.drop(self.snapshots.popitem()[1])

    def close(self) -> None:
        """Drop the database and all snapshots.

        Raises:
            RuntimeError: Another process has rebuilt the database while it was in use here.
        """
        self.release_connection()
        if self.spare is not None and self.spare.exception() is None:
            self.server.drop(self.spare.result()[0])
        self.thread.shutdown()
        with connected(self.url) as connection:
            found = connection.scalar(text(f"SELECT last_value FROM {OWN_SCHEMA}.canary"))
        if found != self.canary:
            raise RuntimeError(
                f"the test database {self.name} was rebuilt while tests ran on it;"
                " their results are not to be trusted"
            )
        self.forget_snapshots()
        self.server.sign_again(self.name)
        self.server.drop(self.name)


def hide_own_schema(engine: Engine) -> None:
    """Leave testdb's schema out where an engine is asked for all schemas, as autogenerate does."""
    names = engine.dialect.get_schema_names

    def without_own(*arguments: Any, **options: Any) -> list[str]:
        return [name for name in names(*arguments, **options) if name != OWN_SCHEMA]

    vars(engine.dialect)["get_schema_names"] = without_own


def lead_to_socket(engine: Engine) -> None:
    """Tell pg8000 of the server's socket: it does not take a folder for a host, as others do."""
    if engine.dialect.driver != "pg8000":
        return

    def name_socket(_: object, __: object, ___: object, options: dict[str, Any]) -> None:
        if str(options.get("host", "")).startswith("/"):
            options["unix_sock"] = f"{options.pop('host')}/.s.PGSQL.{options.pop('port')}"

    event.listen(engine, "do_connect", name_socket)


def sets_up_sessions(engine: Engine) -> bool:
    """Tell whether functions of the service make an engine's connections, or prepare them."""
    functions = [
        engine.pool._creator,
        *engine.pool.dispatch.connect,
        *engine.dialect.dispatch.do_connect,
    ]
    return not all(function.__module__.startswith(KNOWN) for function in functions)
