"""Alembic runs this: which tables there should be, and how the database is reached."""

from alembic import context
from migrator import Environment

from placeholder_service.migrate import database
from placeholder_service.models import Base

# The connection, the lock, the transactions and the comparison of types are migrator's;
# packages/migrator/README.md describes them.
environment = Environment(database)


def run_migrations_offline() -> None:
    """Print the SQL instead of running it."""
    context.configure(target_metadata=Base.metadata, **environment.offline())
    with environment.transaction():
        context.run_migrations()


def run_migrations_online() -> None:
    """Run the migrations on the connection that was passed, or on one of their own."""
    with environment.connect() as connection:
        context.configure(target_metadata=Base.metadata, **environment.online(connection))
        with environment.transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
