"""Runs the migrations of ClickHouse on the connection that is given."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
