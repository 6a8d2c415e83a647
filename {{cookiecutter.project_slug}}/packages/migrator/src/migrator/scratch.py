"""Temporary databases that show what revisions do before they run for real.

In memory, or beside the database on its server. They do not depend on the state of the database.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, NullPool, create_engine, event, text

from migrator.engine import heed_signals, is_sqlite, make_postgresql_engine
from migrator.errors import RefusedError
from migrator.locks import lock_id, one_run_at_a_time

CURRENT_DATABASE = text("SELECT current_database()")


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


def scratch_name(database: str, project: str) -> str:
    """Return the name of a project's scratch database: a later process finds it by this."""
    return f"migrator_scratch_{lock_id(f'{database} {project}') & 0xFFFFFFFF:08x}"
