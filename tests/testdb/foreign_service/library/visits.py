"""One engine for the service, which connects as soon as it is imported, as many tutorials do."""

import os

from sqlalchemy import create_engine

engine = create_engine(os.environ["DATABASE_URL"])
with engine.begin() as connection:
    connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS visits (id INTEGER)")
