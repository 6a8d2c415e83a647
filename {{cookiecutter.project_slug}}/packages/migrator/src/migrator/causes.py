"""Tells what an error of the database is due to, for a service that answers it."""

import sqlite3

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# PostgreSQL's code for a write where only reading is allowed, as on a standby after a failover.
READ_ONLY_TRANSACTION = "25006"

# UNIQUE, FOREIGN KEY and EXCLUDE: what PostgreSQL and SQLite say of a constraint that other rows
# decide. NOT NULL and CHECK are about the row alone.
CONFLICTS = {
    "23001",
    "23503",
    "23505",
    "23P01",
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
}


def is_outage(error: SQLAlchemyError) -> bool:
    """Tell whether the database cannot do its work now, and the statement may be right."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, PoolTimeoutError)
    if error.connection_invalidated:
        return True
    if isinstance(error, OperationalError):
        # SQLite's drivers raise it for a wrong statement as well.
        return getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR
    return getattr(error.orig, "sqlstate", None) == READ_ONLY_TRANSACTION


def is_conflict(error: SQLAlchemyError) -> bool:
    """Tell whether a row contradicts others: it is there already, or refers to one that is not."""
    if not isinstance(error, IntegrityError):
        return False
    codes = (getattr(error.orig, name, None) for name in ("sqlstate", "sqlite_errorcode"))
    return any(code in CONFLICTS for code in codes)
