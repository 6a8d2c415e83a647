"""A temporary database in memory that shows what revisions do before they run for real.

It needs no server and does not depend on the state of the development database.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, NullPool, create_engine, event

from migrator.engine import heed_signals


@contextmanager
def scratch_at(revision: str, config: Callable[[Connection], Config]) -> Iterator[Connection]:
    """Yield a connection to a new database that was upgraded to `revision`."""
    engine = create_engine("sqlite://", poolclass=NullPool)
    event.listen(engine, "connect", heed_signals)
    with engine.connect() as connection:
        command.upgrade(config(connection), revision)
        yield connection
