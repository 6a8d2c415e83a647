"""Temporary databases that show what revisions do before they run for real.

In memory, or beside the database on its server. They do not depend on the state of the database.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from migrator.backfill import BLOCK, ROLLED_BACK
from migrator.engine import heed_signals, is_sqlite, make_postgresql_engine
from migrator.errors import RefusedError
from migrator.locks import lock_id, one_run_at_a_time

CURRENT_DATABASE = text("SELECT current_database()")
EMPTY = "''"

# Statements that PostgreSQL runs outside a transaction only, and that change no schema.
OUTSIDE = re.compile(r"\s*(?:--[^\n]*\n\s*)*(?:VACUUM|ALTER\s+SYSTEM)\b", re.IGNORECASE)
# REFRESH MATERIALIZED VIEW CONCURRENTLY runs inside a transaction.
CONCURRENTLY = re.compile(r"\(\s*CONCURRENTLY\s*\)|(?<!VIEW )\bCONCURRENTLY\b", re.IGNORECASE)
# What PostgreSQL refuses in the transaction that made it: to use the new member of an enum, to
# alter a table whose constraints are not checked yet, and what runs outside a transaction only.
NEED_COMMITS = ("55P04", "55006", "25001")


@contextmanager
def scratch_at(revision: str, config: Callable[[Connection], Config]) -> Iterator[Connection]:
    """Yield a connection to a new database that was upgraded to `revision`."""
    engine = create_engine("sqlite://", poolclass=NullPool)
    event.listen(engine, "connect", heed_signals)
    with engine.connect() as connection:
        command.upgrade(config(connection), revision)
        yield connection


@contextmanager
def scratch_beside(url: URL, project: str, wait_seconds: float) -> Iterator[URL]:
    """Yield the URL of an empty database of the same kind: in memory, or on the same server.

    A project has one at a time on a server. It is dropped again: after a kill, by the next process.
    """
    if is_sqlite(url):
        yield URL.create(url.drivername)
        return
    server = make_postgresql_engine(url, isolation_level="AUTOCOMMIT")
    with one_run_at_a_time(url, f"{project} scratch", wait_seconds), server.connect() as connection:
        # The URL may leave it to a service file. The lock is one of this database.
        name = scratch_name(connection.scalar(CURRENT_DATABASE), project)
        scratch = url.set(database=name)
        drop = text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(drop)
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
        try:
            require_database(scratch, name)
            yield scratch
        finally:
            connection.execute(drop)


def require_database(url: URL, name: str) -> None:
    """Make sure that a URL leads to a database, before revisions run on another one.

    Raises:
        RefusedError: It does not.
    """
    with make_postgresql_engine(url).connect() as connection:
        found = connection.scalar(CURRENT_DATABASE)
    if found != name:
        raise RefusedError(
            f"the address of the scratch database {name} leads to the database {found}, such as"
            " through a pooler that chooses the database itself. Next: use the address of the"
            " server itself"
        )


@contextmanager
def rolled_back(engine: Engine) -> Iterator[Connection]:
    """Yield a connection for revisions whose changes are all undone.

    A scratch database is dropped, but roles, settings of databases and the like belong to the whole
    server. So everything runs in one transaction: Alembic leaves the commit to whoever opened it,
    and there is none. An `autocommit_block()` stays inside.
    """

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def stay_inside(
        connection: Connection, _: object, sql: str, parameters: Any, *__: object
    ) -> tuple[str, Any]:
        return (inside_transaction(sql) if is_in_block(connection) else sql), parameters

    with engine.connect() as connection:
        connection.execution_options(**{ROLLED_BACK: True})
        connection.begin()
        yield connection


def is_in_block(connection: Connection) -> bool:
    """Return whether a revision is in an `autocommit_block()` that stays in the transaction."""
    return bool(connection.get_execution_options().get(BLOCK))


def inside_transaction(sql: str) -> str:
    """Return a statement that does the same inside a transaction; nothing in place of VACUUM."""
    return "SELECT 1" if OUTSIDE.match(sql) else CONCURRENTLY.sub("", sql)


def upgrade_to_head(config: Config, connection: Connection) -> None:
    """Apply all revisions on a connection of `rolled_back`; with commits if they need them."""
    try:
        command.upgrade(config, "head")
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") not in NEED_COMMITS:
            raise
        connection.rollback()
        connection.execution_options(**{ROLLED_BACK: False})
        command.upgrade(config, "head")


def set_search_path(connection: Connection, path: str) -> None:
    """Let the sessions of a scratch database look for objects where those of the real one do."""
    database = connection.scalar(CURRENT_DATABASE)
    connection.exec_driver_sql(f"ALTER DATABASE {database} SET search_path TO {path or EMPTY}")


def scratch_name(database: str, project: str) -> str:
    """Return the name of a project's scratch database: a later process finds it by this."""
    return f"migrator_scratch_{lock_id(f'{database} {project}') & 0xFFFFFFFF:08x}"
