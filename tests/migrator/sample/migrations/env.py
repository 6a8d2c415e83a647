"""Alembic runs this: it describes the tables and reaches the database through migrator."""

from alembic import context
from migrator import Environment

from tests.migrator.sample.migrate import database
from tests.migrator.sample.models import Base

environment = Environment(database)


def run_migrations_offline() -> None:
    """Print the SQL instead of running it."""
    context.configure(target_metadata=Base.metadata, **environment.offline())
    with environment.transaction():
        context.run_migrations()


def run_migrations_online() -> None:
    """Run the migrations."""
    with environment.connect() as connection:
        context.configure(target_metadata=Base.metadata, **environment.online(connection))
        with environment.transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
