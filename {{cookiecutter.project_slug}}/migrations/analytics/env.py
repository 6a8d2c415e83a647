"""Alembic runs this for the migrations of ClickHouse."""

from alembic import context
from migrator.clickhouse import Environment

from placeholder_service.analytics.tables import metadata
from placeholder_service.migrate import analytics

environment = Environment(analytics)


def run_migrations_offline() -> None:
    """Print the SQL instead of running it."""
    context.configure(**environment.offline())
    context.run_migrations()


def run_migrations_online() -> None:
    """Run the migrations. ClickHouse has no transactions: every statement keeps its effect."""
    with environment.connect() as connection:
        context.configure(target_metadata=metadata, **environment.online(connection))
        context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
