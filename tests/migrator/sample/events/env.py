"""Alembic runs this for the migrations of ClickHouse."""

from alembic import context
from migrator.clickhouse import Environment

from tests.migrator.sample.clickhouse import events
from tests.migrator.sample.tables import metadata

environment = Environment(events)


def run_migrations_offline() -> None:
    """Print the SQL instead of running it."""
    context.configure(**environment.offline())
    context.run_migrations()


def run_migrations_online() -> None:
    """Run the migrations."""
    with environment.connect() as connection:
        context.configure(target_metadata=metadata, **environment.online(connection))
        context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
