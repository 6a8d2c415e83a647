"""Runs the service's migrations on a test database, and hashes them to notice changes."""

import hashlib
import inspect
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event

from .config import Isolation

CURE = """
Begin `run_migrations_online()` there with:

    connection = context.config.attributes.get("connection")
    if connection is not None:
        context.configure(connection=connection, target_metadata=target_metadata)
        with context.begin_transaction():
            context.run_migrations()
        return

In a synchronous env.py this goes before `engine_from_config(...)`. In one that starts an event loop
it goes before the loop starts. In one that takes the database from the application's settings it
goes before they are read."""


class MigrationError(RuntimeError):
    """The service's migrations fail. The cause is what a migration raised."""


class UnusedConnectionError(MigrationError):
    """env.py does not run migrations on the connection that it is given."""


def migrate(alembic: Config, connection: Connection) -> None:
    """Apply all migrations on a connection, and on no other database.

    Raises:
        UnusedConnectionError: env.py does not use it. No migration was run.
        MigrationError: A migration fails.
    """
    alembic.attributes["connection"] = connection
    try:
        with logging_kept():
            run_env(alembic)
    except UnusedConnectionError:
        raise
    except Exception as error:
        raise MigrationError(f"The migrations fail, so no test can run: {error!r}") from error


def run_env(alembic: Config) -> None:
    """Run env.py as `alembic upgrade heads` does, unless it goes to another database."""
    scripts = ScriptDirectory.from_config(alembic)
    was_run = False

    def revisions(current: Any, _: object) -> Any:
        nonlocal was_run
        was_run = True
        return scripts._upgrade_revs("heads", current)

    environment = EnvironmentContext(alembic, scripts, fn=revisions, destination_rev="heads")
    configure = environment.configure

    def configure_given(connection: Connection | None = None, *rest: Any, **options: Any) -> None:
        if connection is not alembic.attributes["connection"]:
            raise unused(scripts, "called context.configure() without it")
        configure(connection, *rest, **options)

    # Not in a subclass: Alembic shows env.py no object of one.
    environment.configure = configure_given  # type: ignore[method-assign]
    with environment, no_connections(unused(scripts, "opened a connection of its own")):
        scripts.run_env()
    if not was_run:
        raise unused(scripts, "did not call context.run_migrations()")


def unused(scripts: ScriptDirectory, deed: str) -> UnusedConnectionError:
    """Return the error that says what env.py did, and how to change it."""
    return UnusedConnectionError(
        f"{scripts.env_py_location} does not use the connection that the tests put into"
        f" config.attributes: it {deed}. No migration was run.\n{CURE}"
    )


@contextmanager
def no_connections(error: Exception) -> Iterator[None]:
    """Refuse every connection that this thread opens meanwhile, before it reaches a database."""
    thread = threading.get_ident()

    def refuse(*_: object) -> None:
        if threading.get_ident() == thread:
            raise error

    # Before the guard, whose error would not speak of env.py.
    event.listen(Engine, "do_connect", refuse, insert=True)
    try:
        yield
    finally:
        event.remove(Engine, "do_connect", refuse)


def migrate_and_prepare(isolation: Isolation[Any], connection: Connection) -> None:
    """Make an empty database the one that every test starts from, and commit."""
    migrate(isolation.alembic, connection)
    if isolation.prepare is not None:
        isolation.prepare(connection)
    connection.commit()


@contextmanager
def logging_kept() -> Iterator[None]:
    """Put the loggers back as they were: many an env.py configures logging for the whole process.

    Otherwise tests that look at the log fail in the one run that builds a template.
    """
    root = logging.getLogger()
    known = root.manager.loggerDict.values()
    loggers = [root, *(it for it in known if isinstance(it, logging.Logger))]
    before = [(x, x.level, x.disabled, x.propagate, list(x.handlers)) for x in loggers]
    try:
        yield
    finally:
        for logger, level, disabled, propagate, handlers in before:
            logger.setLevel(level)
            logger.disabled, logger.propagate, logger.handlers = disabled, propagate, handlers


def heads(alembic: Config) -> Sequence[str]:
    """Return the revisions that a migrated database is at."""
    return ScriptDirectory.from_config(alembic).get_heads()


def folders(alembic: Config) -> list[Path]:
    """Return the folders with everything that migrations are made of."""
    scripts = ScriptDirectory.from_config(alembic)
    return [Path(folder).resolve() for folder in (scripts.dir, *scripts.version_locations)]


def fingerprint(isolation: Isolation[Any], owner: str = "") -> str:
    """Return a hash of what templates come from, this library and SQLite's version included."""
    digest = hashlib.sha256(f"{sqlite3.sqlite_version} {owner}".encode())
    migrations = {
        path
        for folder in folders(isolation.alembic)
        for path in folder.rglob("*")
        # Without a source, a revision is compiled code that Alembic is told to read.
        if path.is_file() and path.parent.name != "__pycache__"
    }
    for path in [*sorted(migrations), *sorted(Path(__file__).parent.rglob("*.py"))]:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    if isolation.prepare is not None:
        digest.update(source_of(isolation.prepare))
    return digest.hexdigest()[:32]


def source_of(function: Callable[..., object]) -> bytes:
    """Return the text of the module that a function comes from."""
    return Path(inspect.getfile(inspect.unwrap(function))).read_bytes()


def family(alembic: Config, owner: str) -> str:
    """Return what all templates of a service and an owner have in common, outdated ones as well."""
    return hashlib.sha256(f"{folders(alembic)[0]} {owner}".encode()).hexdigest()[:16]
