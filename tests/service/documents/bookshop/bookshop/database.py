"""The database of the shop."""

import os
from collections.abc import Iterator

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

DATABASE_URL = os.environ.get("DATABASE_URL", "sqlite:///bookshop.db")


def make_engine(url: str) -> Engine:
    """Return an engine for a URL."""
    return create_engine(url)


def make_session_maker(engine: Engine) -> sessionmaker[Session]:
    """Return what makes sessions."""
    return sessionmaker(engine)


def get_session() -> Iterator[Session]:
    """Give a request its session."""
    with make_session_maker(make_engine(DATABASE_URL))() as session:
        yield session
