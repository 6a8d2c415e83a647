"""Makes the databases of the patterns that are not the service's own."""

import os

import sqlalchemy as sa
from my_service.migrate import database


def migrate(url: sa.URL | str) -> None:
    """Apply the service's migrations."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        database().upgrade("head", connection)
    engine.dispose()


prefix = os.environ["BENCH_PREFIX"]
server = sa.make_url(os.environ["TEST_DATABASE_URL"])
engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
with engine.connect() as connection:
    for name in ("migrated", "empty", "sqla"):
        connection.execute(sa.text(f"CREATE DATABASE {prefix}{name}"))
engine.dispose()
migrate(server.set(database=f"{prefix}migrated"))
migrate(f"sqlite:///{os.environ['BENCH_MIGRATED']}")
