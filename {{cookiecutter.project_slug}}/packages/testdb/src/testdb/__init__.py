"""Migrated, isolated test databases for a service on SQLAlchemy and Alembic.

README.md has the whole public API. `tests/conftest.py` hands an `Isolation` to the pytest plugin,
`testdb.plugin`, by the hook `pytest_testdb_isolation`.
"""

from .config import Isolation
from .database import IsolatedDatabase, OpenDatabase, OpenSnapshot
from .guard import ProtectedDatabaseError
from .reset import RefusedError, drop_db
from .session import current_session, rollback_test_context
from .validation import Finding, Report
from .verdicts import VerdictError

__all__ = [
    "Finding",
    "IsolatedDatabase",
    "Isolation",
    "OpenDatabase",
    "OpenSnapshot",
    "ProtectedDatabaseError",
    "RefusedError",
    "Report",
    "VerdictError",
    "current_session",
    "drop_db",
    "rollback_test_context",
]
