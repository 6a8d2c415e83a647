"""An env.py that takes the database from the application's container."""

from alembic import context
from ledger.container import container


def run(connection) -> None:
    context.configure(connection=connection, version_table="ledger_version")
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with container.engine.connect() as connection:
        run(connection)
