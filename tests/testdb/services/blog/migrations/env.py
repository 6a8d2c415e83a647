"""The env.py of Flask-Migrate, which takes its engine from the current app."""

from alembic import context
from flask import current_app


def run_migrations_online() -> None:
    connection = context.config.attributes.get("connection")
    if connection is not None:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
        return
    with current_app.extensions["migrate"].db.engine.connect() as own:
        context.configure(connection=own)
        with context.begin_transaction():
            context.run_migrations()


run_migrations_online()
