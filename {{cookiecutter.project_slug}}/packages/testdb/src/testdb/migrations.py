"""Runs the service's migrations on a test database, and tells when they have changed."""

import hashlib
import inspect
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from .config import Isolation


class MigrationError(RuntimeError):
    """The service's migrations fail. The cause is what a migration raised."""


def migrate(alembic: Config, connection: Connection) -> None:
    """Apply all migrations.

    Raises:
        MigrationError: One of them fails.
    """
    alembic.attributes["connection"] = connection
    try:
        with logging_kept():
            command.upgrade(alembic, "heads")
    except Exception as error:
        raise MigrationError(f"The migrations fail, so no test can run: {error!r}") from error


def migrate_and_prepare(isolation: Isolation[Any], connection: Connection) -> None:
    """Make an empty database the one that every test starts from, and commit.

    Raises:
        MigrationError: A migration fails.
    """
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
    loggers = [
        root,
        *(x for x in root.manager.loggerDict.values() if isinstance(x, logging.Logger)),
    ]
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
    """Return a hash of what templates come from.

    That is the migrations, the function `prepare`, this library, SQLite's version and `owner`.
    """
    digest = hashlib.sha256(f"{sqlite3.sqlite_version} {owner}".encode())
    migrations = {
        path
        for folder in folders(isolation.alembic)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    for path in [*sorted(migrations), *sorted(Path(__file__).parent.glob("*.py"))]:
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
