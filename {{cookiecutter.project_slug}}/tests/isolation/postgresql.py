"""Migrated PostgreSQL databases: copied from a template once, then put back after each test.

Putting back is not copying again. In the template every table has a trigger that marks it as
changed, by calling `nextval` on a sequence of its own: sequences take no lock, and a rollback does
not take the mark back. After a test, a function reads the marks, and gives the marked tables the
rows of the template. If a test changed the schema, which an event trigger marks, or if the role may
not make event triggers, another copy takes the place of the database; a thread made it meanwhile.
"""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache, partial
from uuid import uuid4

from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from tests.isolation.difference import Difference, difference, schemas
from tests.isolation.migration import upgrade
from tests.isolation.report import timed
from tests.isolation.server import COMMENT, PREFIX, Server, connect_server
from tests.isolation.template import family, fingerprint

# Everything of the isolation's own is in here; migrations and autogenerate do not see it.
SCHEMA = "isolation"

# Nobody else should be connected when a database is put back.
LOCK_TIMEOUT = "500ms"

FUNCTIONS = f"""
CREATE SCHEMA {SCHEMA};
CREATE SEQUENCE {SCHEMA}.ddl;
CREATE SEQUENCE {SCHEMA}.canary;
CREATE FUNCTION {SCHEMA}.mark_table() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM nextval(TG_ARGV[0]::regclass); RETURN NULL; END $$;
CREATE FUNCTION {SCHEMA}.mark_schema() RETURNS event_trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM nextval('{SCHEMA}.ddl'); END $$;
"""

# Returns what was needed: nothing, rows, or if that is not enough, a copy. It works as a replica
# applies changes: no foreign keys and no triggers but the marks, which it takes back.
RESET = f"""
CREATE FUNCTION {SCHEMA}.reset() RETURNS text LANGUAGE plpgsql
  SET session_replication_role = replica SET lock_timeout = '{LOCK_TIMEOUT}' AS $reset$
DECLARE needed text := 'nothing';
BEGIN
  IF (SELECT is_called FROM {SCHEMA}.ddl) THEN RETURN 'copy'; END IF;
  UNDO
  RETURN needed;
END $reset$;
"""

# PostgreSQL computes generated columns by itself, and refuses to be given them.
STORED_COLUMNS = text(
    "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute"
    " WHERE attrelid = CAST(:table AS regclass) AND attnum > 0"
    " AND NOT attisdropped AND attgenerated = ''"
)

# For a role that may neither watch the schema nor leave foreign keys aside.
NO_RESET = f"CREATE FUNCTION {SCHEMA}.reset() RETURNS text LANGUAGE sql AS $$ SELECT 'copy' $$"

SCHEMA_TRIGGERS = f"""
CREATE EVENT TRIGGER isolation_ddl ON ddl_command_end EXECUTE FUNCTION {SCHEMA}.mark_schema();
CREATE EVENT TRIGGER isolation_drop ON sql_drop EXECUTE FUNCTION {SCHEMA}.mark_schema();
ALTER EVENT TRIGGER isolation_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER isolation_drop ENABLE ALWAYS;
"""


def ensure_template(
    server: Server,
    alembic: Config,
    fill: Callable[[Connection], object],
    *,
    part: str = "",
    base: str = "template0",
    recreate: bool = False,
) -> str:
    """Return the name of a template, made first if the server has none of this name.

    It is made as a copy of `base`, which `fill` completes. What it holds besides the migrations
    needs a name, `part`: another content needs another one. With `recreate`, a template that is
    there is made again. Outdated ones go, unless a run that goes on uses them.

    Raises:
        Exception: Whatever `fill` raises, such as a failing migration. Nothing is kept then.
    """
    owner = f"{server.url.username}@{server.url.database}"
    key = f"{PREFIX}template_{fingerprint(alembic, owner)[:16]}"
    name = f"{key}{part}"
    comment = f"{COMMENT} template of {family(alembic, owner)}"
    lock = f"building {name}"
    server.call("pg_advisory_lock", lock)
    # Held until the process ends: it is in use.
    server.call("pg_advisory_lock_shared", name)
    try:
        known = name in server.databases()
        if known and recreate:
            server.drop(name)
        if recreate or not known:
            with timed("postgresql template built"):
                build_template(server, name, fill, base, comment)
            for other, found in server.databases().items():
                if found == comment and not other.startswith(key):
                    server.drop_unless_locked(other, lock=other)
    finally:
        server.unlock(lock)
    return name


def build_template(
    server: Server,
    name: str,
    fill: Callable[[Connection], object],
    base: str,
    comment: str,
) -> None:
    """Fill a scratch database and give it the template's name when it is complete."""
    scratch = server.new_name()
    url = server.create(scratch, base)
    try:
        with connected(url) as connection:
            fill(connection)
            connection.commit()
            install_marks(connection)
        # No connections: a database that somebody is connected to cannot be copied.
        server.execute(f'ALTER DATABASE "{scratch}" IS_TEMPLATE true ALLOW_CONNECTIONS false')
        server.execute(f"COMMENT ON DATABASE \"{scratch}\" IS '{comment}'")
        server.execute(f'ALTER DATABASE "{scratch}" RENAME TO "{name}"')
    except BaseException:
        server.drop(scratch)
        raise


def migrated_template(server: Server, alembic: Config, *, recreate: bool = False) -> str:
    """Return the name of the template with all migrations applied."""
    return ensure_template(server, alembic, partial(upgrade, alembic), recreate=recreate)


def install_marks(connection: Connection) -> None:
    """Add what notices changes and undoes them, and keep a copy of the rows that are there."""
    connection.execute(text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
    connection.execute(text(FUNCTIONS))
    inspector = inspect(connection)
    undo = []
    for schema in schemas(inspector):
        for name in inspector.get_table_names(schema):
            if schema is None:
                undo.append(install_mark(connection, name, f'"{name}"'))
            else:
                undo.append(install_mark(connection, f"{schema}.{name}", f'"{schema}"."{name}"'))
    sequences = text(
        "SELECT format('PERFORM setval(%L, %s, %L);', format('%I.%I', schemaname, sequencename),"
        " coalesce(last_value, start_value), last_value IS NOT NULL)"
        f" FROM pg_sequences WHERE schemaname <> '{SCHEMA}'"
    )
    undo.extend(connection.scalars(sequences))
    if connection.scalar(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")):
        connection.exec_driver_sql(RESET.replace("UNDO", "\n  ".join(undo)))
        connection.execute(text(SCHEMA_TRIGGERS))
    else:
        connection.exec_driver_sql(NO_RESET)
    connection.commit()


def install_mark(connection: Connection, name: str, table: str) -> str:
    """Add what notices changes of a table, and return what undoes them."""
    mark, rows = f'{SCHEMA}."{name}"', f'{SCHEMA}."rows {name}"'
    connection.exec_driver_sql(
        f"CREATE SEQUENCE {mark}; CREATE TABLE {rows} AS TABLE {table};"
        " CREATE TRIGGER isolation_mark AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE"
        f" ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {SCHEMA}.mark_table('{mark}');"
        f" ALTER TABLE {table} ENABLE ALWAYS TRIGGER isolation_mark"
    )
    insert = ""
    if connection.exec_driver_sql(f"SELECT EXISTS (TABLE {rows})").scalar():
        columns = connection.scalar(STORED_COLUMNS, {"table": table})
        insert = (
            f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {rows};"
        )
    return (
        f"IF (SELECT is_called FROM {mark}) THEN needed := 'rows'; DELETE FROM {table};"
        f" {insert} PERFORM setval('{mark}', 1, false); END IF;"
    )


@contextmanager
def connected(url: URL) -> Iterator[Connection]:
    """Give a connection of its own to a database."""
    with engine_for(url).connect() as connection:
        yield connection


@lru_cache(maxsize=8)
def engine_for(url: URL) -> Engine:
    """Return an engine that keeps no connection; to make one takes as long as to connect."""
    return create_engine(url, poolclass=NullPool)


class PostgresqlDatabase:
    """One database on a server, put back to its template's state as often as you like."""

    kind = "postgresql"
    # What somebody is connected to cannot be copied.
    is_exclusive = True
    # Only a database in memory can be asked without its engine.
    raw = None

    def __init__(self, server: Server, name: str, template: str) -> None:
        """Copy the template."""
        self.server = server
        self.name = name
        self.template = template
        self.canary = secrets.randbits(62)
        self.url = self.create(server, name, template)
        self.snapshots: dict[str, str] = {}
        # Connecting takes longer than all of a reset.
        self.kept: Connection | None = None
        self.thread = ThreadPoolExecutor(1)
        self.spare: Future[tuple[str, URL]] | None = None
        self.drops: list[Future[None]] = []

    def create(self, server: Server, name: str, source: str) -> URL:
        """Copy a database, leave a sign in the copy that it was made here, return its URL."""
        url = server.create(name, source)
        with connected(url) as connection:
            connection.execute(text(f"SELECT setval('{SCHEMA}.canary', {self.canary})"))
            connection.commit()
        return url

    def clean(self) -> None:
        """Do nothing: what works in a transaction that is rolled back leaves nothing to undo."""

    def reset(self) -> str:
        """Put back rows, sequences and schema. Returns what was needed: nothing, rows or copy."""
        if done := self.reset_rows():
            return done
        self.copy_from(self.template)
        return "copy"

    def renew(self, *, is_in_use: bool = False) -> str:
        """Put it back for another test, which does not mind that it is another database.

        Returns what was needed: nothing, rows or spare.
        """
        if not is_in_use and (done := self.reset_rows()):
            return done
        self.let_go()
        old, spare, self.spare = self.name, self.spare or self.thread.submit(self.make_spare), None
        self.name, self.url = spare.result()
        self.drops.append(self.thread.submit(self.drop, old))
        self.spare = self.thread.submit(self.make_spare)
        return "spare"

    def make_spare(self) -> tuple[str, URL]:
        """Copy the template ahead of need, in the thread; return name and URL."""
        name = self.server.new_name()
        with connect_server(self.server.url, self.server.run) as server:
            return name, self.create(server, name, self.template)

    def drop(self, name: str) -> None:
        """Drop a database in the thread."""
        with connect_server(self.server.url, self.server.run) as server:
            server.drop(name)

    def reset_rows(self) -> str | None:
        """Put back rows and sequences, and say if there was need; None if that is not enough."""
        if self.kept is None:
            engine = create_engine(self.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
            self.kept = engine.connect()
        try:
            needed = self.kept.exec_driver_sql(f"SELECT {SCHEMA}.reset()").scalar_one()
        except DBAPIError:
            # Somebody holds a lock and did not let go, or the rows cannot be put back as they were.
            return None
        return None if needed == "copy" else str(needed)

    def left_over(self) -> Difference:
        """Return the rows in which the database differs from its template."""
        first = f"{self.name}_first"
        # Nobody can connect to the template itself.
        url = self.server.create(first, self.template)
        with connected(url) as old, connected(self.url) as new:
            found = difference(old, new)
        self.server.drop(first)
        return found

    def let_go(self) -> None:
        """Close the connection that is kept for the next reset."""
        if self.kept is not None:
            self.kept.close()
            self.kept = None

    def copy_from(self, source: str) -> None:
        """Replace the database by a copy of another one. Its connections are closed."""
        self.let_go()
        self.server.drop(self.name)
        self.create(self.server, self.name, source)

    def check_canary(self) -> None:
        """Make sure that nobody rebuilt the database while it was in use here.

        Raises:
            RuntimeError: Somebody did. What the tests have seen since is not to be trusted.
        """
        with connected(self.url) as connection:
            found = connection.scalar(text(f"SELECT last_value FROM {SCHEMA}.canary"))
        if found != self.canary:
            raise RuntimeError(
                f"the test database {self.name} was rebuilt while tests ran on it;"
                " their results are not to be trusted"
            )

    def snapshot(self, name: str) -> None:
        """Keep the present state under a name. Connections are closed for it."""
        if name in self.snapshots:
            self.server.drop(self.snapshots[name])
        copy = self.server.new_name()
        self.let_go()
        self.disconnect_others()
        self.server.create(copy, self.name)
        self.snapshots[name] = copy

    def restore(self, name: str) -> None:
        """Go back to a state that was kept. Connections are closed for it."""
        self.copy_from(self.snapshots[name])

    def connected(self) -> AbstractContextManager[Connection]:
        """Give a connection to the database."""
        return connected(self.url)

    def opened(self, name: str) -> AbstractContextManager[Connection]:
        """Give a connection to a state that was kept."""
        return connected(self.url.set(database=self.snapshots[name]))

    def disconnect_others(self) -> None:
        """Close every connection to the database."""
        query = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = :name AND backend_type = 'client backend'"
        )
        self.server.connection.execute(query, {"name": self.name})

    def keep(self) -> str:
        """Copy the present state to a database that outlives the run; return what opens it."""
        name = f"{PREFIX}kept_{uuid4().hex[:8]}"
        self.let_go()
        self.disconnect_others()
        url = self.server.create(name, self.name).set(drivername="postgresql")
        self.server.execute(f"COMMENT ON DATABASE \"{name}\" IS '{COMMENT} kept'")
        return f"psql '{url.render_as_string(hide_password=False)}'"

    def forget_snapshots(self) -> None:
        """Drop all states that were kept."""
        for copy in self.snapshots.values():
            self.server.drop(copy)
        self.snapshots.clear()

    def wait(self) -> None:
        """Wait until all databases are dropped that spare ones have replaced."""
        for done in self.drops:
            done.result()

    def close(self) -> None:
        """Drop the database and all states that were kept.

        Raises:
            RuntimeError: Somebody else rebuilt the database in the meantime.
        """
        self.let_go()
        if self.spare is not None:
            self.drops.append(self.thread.submit(self.drop, self.spare.result()[0]))
        self.wait()
        self.thread.shutdown()
        self.check_canary()
        self.forget_snapshots()
        self.server.drop(self.name)
