"""The engine of the tests: SQLAlchemy on one connection that stays open."""

import sqlite3

from sqlalchemy import Engine, StaticPool, create_engine

from tests.isolation.sqlite import adapt, begin_explicitly


def make_test_engine(raw: sqlite3.Connection) -> Engine:
    """Return an engine that always uses `raw`, so that what is restored there is what it sees."""
    adapt(raw)
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
    begin_explicitly(engine)
    return engine
