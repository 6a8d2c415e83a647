"""A throw-away database in memory, to see what revisions do before they are done.

It needs no server, and never depends on what happens to be in the development database.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.script import Script
from sqlalchemy import Connection, NullPool, create_engine

from placeholder_service.db.migrate.config import alembic_config


@contextmanager
def scratch_at(revision: str) -> Iterator[Connection]:
    """Give a connection to a new database that was migrated to `revision`."""
    with create_engine("sqlite://", poolclass=NullPool).connect() as connection:
        command.upgrade(alembic_config(connection), revision)
        yield connection


def new_revision(message: str) -> Path:
    """Write a revision with what the models have and the migrations lack; empty if nothing.

    Returns:
        The file that was written.
    """
    # The message becomes a docstring.
    message = message.replace("\\", "/").replace('"', "'")
    with scratch_at("head") as connection:
        script = command.revision(alembic_config(connection), message, autogenerate=True)
    assert isinstance(script, Script), "one message makes one revision"
    return Path(script.path)
