"""The usual env.py, with the one line that the isolation asks for."""

import os

import sqlalchemy as sa
from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    connection = sa.create_engine(os.environ["DATABASE_URL"]).connect()

context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
