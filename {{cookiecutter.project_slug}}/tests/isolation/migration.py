"""Applies migrations to a connection of the isolation's, and to no other database."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event

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


class UnusedConnectionError(RuntimeError):
    """env.py does not run migrations on the connection that it is given."""


def upgrade(alembic: Config, connection: Connection) -> None:
    """Apply all migrations on a connection.

    Raises:
        UnusedConnectionError: env.py does not use it. No migration was run.
        Exception: Whatever a failing migration raises.
    """
    alembic.attributes["connection"] = connection
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
