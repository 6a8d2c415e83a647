from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from .container import container


def add_entry(code: str) -> str:
    """Add an entry; return what PostgreSQL says of it."""
    with container.sessions() as session:
        try:
            session.execute(text("INSERT INTO entries (code) VALUES (:code)"), {"code": code})
            session.commit()
        except IntegrityError as error:
            return error.orig.pgcode  # of psycopg2 only
        return "00000"
