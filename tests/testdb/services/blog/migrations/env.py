"""An env.py as Flask-Migrate makes it, which finds everything in the current app."""

from logging.config import fileConfig

from alembic import context
from blog import create_app
from flask import current_app

config = context.config
fileConfig(config.config_file_name)
given = context.config.attributes.get("connection")
if given is not None:
    create_app().app_context().push()  # as the command `flask db` does

config.set_main_option("sqlalchemy.url", str(current_app.extensions["migrate"].db.engine.url))
target_db = current_app.extensions["migrate"].db


def run_migrations_online() -> None:
    if given is not None:
        context.configure(connection=given, target_metadata=target_db.metadata)
        with context.begin_transaction():
            context.run_migrations()
        return
    with target_db.engine.connect() as connection:
        context.configure(connection=connection, target_metadata=target_db.metadata)
        with context.begin_transaction():
            context.run_migrations()


run_migrations_online()
