"""What the service is made of."""

import os
from functools import cached_property

from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker


class Container:
    @cached_property
    def engine(self):
        return make_engine(os.environ["LEDGER_DSN"])

    @cached_property
    def sessions(self):
        return make_sessions(self.engine)


def make_engine(url):
    return create_engine(url, pool_size=2, isolation_level="REPEATABLE READ")


def make_sessions(engine):
    return sessionmaker(engine, autoflush=False)


container = Container()
