"""The PostgreSQL server of the tests, and who may clean up on it.

The server is the one that TEST_DATABASE_URL or TEST_POSTGRES_HOST names, else an embedded one.
Each run holds a lock there, and its databases carry the run's id. The next run drops the databases
whose lock is free, and never any other.
"""

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL, Connection, Engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from ..guard.urls import describe, parse_url
from ..migrations import TemplateError
from ..queries import own_engine
from ..signature import COMMENT, PREFIX, require_marked
from . import embedded, folders
from .programs import LOWEST, NoPostgresqlError
from .statements import AUTOCOMMIT

log = logging.getLogger(__name__)

# For testdb's own connections.
DRIVER = "postgresql+psycopg"

# One number for all locks of this kind; the second one is the run's.
LOCK_CLASS = int.from_bytes(b"test")
OWN = text(
    "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database"
    f" WHERE shobj_description(oid, 'pg_database') LIKE '{COMMENT}%'"
    " AND pg_has_role(datdba, 'USAGE')"
)
# The server's own template, on which not everyone may do what they may on a new database.
EMPTY = "template0"
# A copy has not the settings and rights of its source. A list is not kept in the form in which it
# is set. PUBLIC is the role 0.
COPY_SETTINGS = """
DO $do$ DECLARE kept record; place text; BEGIN
  FOR kept IN
    SELECT setrole, split_part(it, '=', 1) AS name, substr(it, strpos(it, '=') + 1) AS value
    FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase, unnest(setconfig) AS it
    WHERE datname = 'SOURCE'
  LOOP
    place := 'DATABASE "COPY"';
    IF kept.setrole <> 0 THEN
      place := format('ROLE %s IN %s', kept.setrole::regrole, place);
    END IF;
    IF kept.name IN ('search_path', 'temp_tablespaces', 'local_preload_libraries',
      'session_preload_libraries') THEN
      PERFORM set_config(kept.name, kept.value, true);
      EXECUTE format('ALTER %s SET %I FROM CURRENT', place, kept.name);
    ELSE
      EXECUTE format('ALTER %s SET %I TO %L', place, kept.name, kept.value);
    END IF;
  END LOOP;
  IF (SELECT datacl IS NOT NULL FROM pg_database WHERE datname = 'SOURCE') THEN
    REVOKE ALL ON DATABASE "COPY" FROM PUBLIC, CURRENT_USER;
  END IF;
  FOR kept IN
    SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS role,
      privilege_type, CASE WHEN is_grantable THEN 'WITH GRANT OPTION' ELSE '' END AS option
    FROM pg_database, aclexplode(datacl) WHERE datname = 'SOURCE'
  LOOP
    EXECUTE format('GRANT %s ON DATABASE "COPY" TO %s %s',
      kept.privilege_type, kept.role, kept.option);
  END LOOP;
END $do$
"""
MAY_CREATE = text("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user")
IN_USE = text(
    "SELECT EXISTS (SELECT FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) OR"
    " EXISTS (SELECT FROM pg_database"
    f" WHERE shobj_description(oid, 'pg_database') = '{COMMENT} kept')"
)


@dataclass
class Server:
    """A server and this run's place on it."""

    url: URL
    run: str  # its id, the same in all its workers
    connection: Connection  # holds the run's lock as long as this process may make databases

    def create(self, name: str, template: str = EMPTY) -> URL:
        """Make a database of this run, like `template` with its settings; return its URL."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        self.sign(name)
        if template != EMPTY:
            self.execute(COPY_SETTINGS.replace("SOURCE", template).replace("COPY", name))
        return self.url.set(database=name)

    def sign(self, name: str) -> None:
        """Let a database say that it was made here."""
        self.execute(f"COMMENT ON DATABASE \"{name}\" IS '{self.mark(self.run)}'")

    def sign_again(self, name: str) -> None:
        """Do so with one that was made here, and that a test has made say something else."""
        if name not in self.databases():
            # It is not there if an earlier copy failed.
            with suppress(ProgrammingError):
                self.sign(name)

    def new_name(self) -> str:
        """Return a name for a database of this run."""
        return f"{PREFIX}{self.run}_{uuid4().hex[:8]}"

    def mark(self, run: str) -> str:
        """Return what says whose a database is. A lock is only seen from where it was taken."""
        return f"{COMMENT} of run {run} by {self.url.database}"

    def drop(self, name: str) -> None:
        """Drop a database and close all connections to it, if it is a test database."""
        require_marked(name, self.databases())
        self.execute(f'ALTER DATABASE "{name}" IS_TEMPLATE false')
        self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def databases(self) -> dict[str, str]:
        """Return the test databases on the server that this role may drop, with their comments."""
        return dict(self.connection.execute(OWN).all())

    def execute(self, statement: str) -> None:
        """Run one statement outside any transaction."""
        self.connection.execute(text(statement))

    def drop_abandoned(self) -> None:
        """Drop the databases of runs that are over, such as one that was killed."""
        for name, comment in self.databases().items():
            run = comment.partition(" of run ")[2].partition(" by ")[0]
            if run != self.run and comment == self.mark(run):
                try:
                    self.drop_unless_locked(name, lock=run)
                except DBAPIError as error:
                    log.warning("%s is left from an earlier run, and stays: %s", name, error.orig)

    def drop_unless_locked(self, name: str, lock: str) -> None:
        """Drop a database if no session holds a lock, not even a shared one."""
        if self.call("pg_try_advisory_lock", lock):
            try:
                # Another run may have been faster.
                if name in self.databases():
                    self.drop(name)
            finally:
                self.call("pg_advisory_unlock", lock)

    def call(self, function: str, lock: str) -> object:
        """Call one of the server's functions for a lock, such as a run's, which is its id."""
        number = int.from_bytes(hashlib.sha256(lock.encode()).digest()[:4], signed=True)
        query = text(f"SELECT {function}(:kind, :number)")
        return self.connection.scalar(query, {"kind": LOCK_CLASS, "number": number})


@contextmanager
def connect_server(url: URL, run: str) -> Iterator[Server]:
    """Give the server at `url`, cleaned of what killed runs left.

    Raises:
        TemplateError: It cannot be reached, or is too old.
    """
    try:
        opened = own_engine(url, connect_args=AUTOCOMMIT).connect()
    except OperationalError as error:
        raise TemplateError(
            f"testdb cannot connect to {describe(url)}: {error.orig}\nNext: start the server, or"
            " correct TEST_DATABASE_URL, TEST_POSTGRES_HOST and their like; without them, testdb"
            " starts a server of its own"
        ) from error
    with opened as connection:
        if (connection.dialect.server_version_info or ()) < (LOWEST,):
            found = connection.scalar(text("SHOW server_version"))
            raise TemplateError(
                f"{describe(url)} is PostgreSQL {found}, and testdb needs {LOWEST} or newer."
                " Next: name another server in TEST_DATABASE_URL, or leave that out to start one"
            )
        server = Server(url, run, connection)
        # Held until the process ends, together with the run's other workers.
        server.call("pg_advisory_lock_shared", run)
        server.drop_abandoned()
        yield server


def named_server() -> URL | None:
    """Return the server that the environment names; None if it names none.

    Raises:
        UsageError: The port is not a number.
    """
    if (url := named_database()) is not None and url.get_backend_name() == "postgresql":
        return url.set(drivername=DRIVER)
    if host := os.environ.get("TEST_POSTGRES_HOST"):
        port = os.environ.get("TEST_POSTGRES_PORT") or "5432"
        if not port.isdecimal():
            raise pytest.UsageError(f"TEST_POSTGRES_PORT is {port!r}, which is not a number")
        return URL.create(
            DRIVER,
            username=os.environ.get("TEST_POSTGRES_USER") or "postgres",
            password=os.environ.get("TEST_POSTGRES_PASSWORD"),
            host=host,
            port=int(port),
            database="postgres",
        )
    return None


def named_database() -> URL | None:
    """Return the database in TEST_DATABASE_URL, of whatever kind; None if there is no URL."""
    return parse_url(os.environ.get("TEST_DATABASE_URL", ""))


def unused_name() -> str:
    """Say that TEST_DATABASE_URL names no server for tests, as in a service that has its own use.

    Empty if it names one, or nothing at all.
    """
    url = named_database()
    if not os.environ.get("TEST_DATABASE_URL") or (url and url.get_backend_name() == "postgresql"):
        return ""
    return "TEST_DATABASE_URL is not the URL of a PostgreSQL server"


@contextmanager
def embedded_server(project: Path) -> Iterator[URL]:
    """Start a server of the project's own; the last process that uses it stops it.

    It keeps running while it holds kept databases.
    """
    try:
        major = embedded.programs().major
    except NoPostgresqlError as reason:
        pytest.skip(str(reason))
    # libpq would follow these whatever a URL says.
    for variable in ("PGHOSTADDR", "PGSERVICE"):
        os.environ.pop(variable, None)
    folders.remove_forgotten()
    data = folders.data_folder(project, major)
    # Here: tests on SQLite have no use for it.
    from filelock import FileLock

    lock = FileLock(folders.lock_file(data))
    with lock:
        # What a test of an earlier run set might keep the server from starting.
        embedded.forget_settings(data)
        url = make_url(embedded.start(data)).set(drivername=DRIVER)
        folders.remember(data, project)
        engine = own_engine(url, connect_args=AUTOCOMMIT)
        connection = engine.connect()
        connection.execute(text("SET default_transaction_read_only = off"))
        connection.execute(text("ALTER ROLE CURRENT_USER RESET ALL"))
        # Nothing here has to survive a crash.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    try:
        yield url
    finally:
        connection.close()
        # A connection that was closed just now is seen for a moment.
        for pause in (0.05, 0.2):
            time.sleep(pause)
            with lock:
                if not is_in_use(engine):
                    embedded.stop(data)
                    break


def is_in_use(engine: Engine) -> bool:
    """Tell whether others use a server, or another one has stopped it already."""
    try:
        with engine.connect() as connection:
            return bool(connection.scalar(IN_USE))
    except OperationalError:
        return True


@contextmanager
def server_for_tests(project: Path, run: str) -> Iterator[Server]:
    """Give the server of the tests: the one the environment names, else an embedded one."""
    with ExitStack() as stack:
        url = named_server() or stack.enter_context(embedded_server(project))
        server = stack.enter_context(connect_server(url, run))
        if not server.connection.scalar(MAY_CREATE):
            role = server.connection.scalar(text("SELECT current_user"))
            raise TemplateError(
                f"The role {role} may not create databases on {describe(url)}."
                f" Next: ALTER ROLE {role} CREATEDB, or name another role"
            )
        yield server
