"""Alembic's usual env.py, which uses the connection it is given."""

from logging.config import fileConfig

from alembic import context
from service.models import Base
from sqlalchemy import create_engine

config = context.config
if config.config_file_name is not None:
    fileConfig(config.config_file_name)


def run_migrations_online() -> None:
    """Run the migrations."""
    connection = config.attributes.get("connection")
    if connection is None:
        connection = create_engine("sqlite:///development.db").connect()
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


run_migrations_online()
