"""Alembic's own env.py for synchronous services, with the lines that testdb asks for."""

from logging.config import fileConfig

from alembic import context
from shop.models import SQLModel
from sqlalchemy import engine_from_config

config = context.config
fileConfig(config.config_file_name)
target_metadata = SQLModel.metadata


def run_migrations_online() -> None:
    connection = context.config.attributes.get("connection")
    if connection is not None:
        context.configure(connection=connection, target_metadata=target_metadata)
        with context.begin_transaction():
            context.run_migrations()
        return
    with engine_from_config(config.get_section("alembic"), prefix="sqlalchemy.").connect() as own:
        context.configure(connection=own, target_metadata=target_metadata)
        with context.begin_transaction():
            context.run_migrations()


run_migrations_online()
