"""Runs the migrations of ClickHouse: on the connection that was passed, or as the only run."""

from logging.config import fileConfig
from typing import Any

from alembic import context
from clickhouse_connect.cc_sqlalchemy.alembic import ClickHouseImpl
from sqlalchemy import Connection

from placeholder_service.analytics.migrate.connections import only_run

config = context.config

# Only for the `alembic` command: a program that calls Alembic has set up its own logging.
if config.cmd_opts is not None and config.config_file_name is not None:
    fileConfig(config.config_file_name, disable_existing_loggers=False)


def run_migrations_offline() -> None:
    """Print the SQL instead of running it."""
    run_with(dialect_name=ClickHouseImpl.__dialect__, literal_binds=True)


def run_migrations_online() -> None:
    """Run the migrations on the connection that was passed, or on one of their own."""
    passed: Connection | None = config.attributes.get("connection")
    if passed is not None:
        run_with(connection=passed)
    else:
        with only_run() as connection:
            run_with(connection=connection)


def run_with(**options: Any) -> None:
    """Run them. ClickHouse has no transactions: every statement stays done."""
    context.configure(**options)
    context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
