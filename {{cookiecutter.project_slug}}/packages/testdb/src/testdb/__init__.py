"""Migrated, isolated test databases for a service on SQLAlchemy and Alembic.

README.md has the whole public API. `tests/conftest.py` hands an `Isolation` to the pytest plugin,
`testdb.plugin`, by the hook `pytest_testdb_isolation`.

PYTEST_DONT_REWRITE: the guard of a worker's process has imported this before pytest can rewrite it,
and there is nothing to rewrite.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import Isolation as Isolation
    from .database import IsolatedDatabase as IsolatedDatabase
    from .database import OpenDatabase as OpenDatabase
    from .database import OpenSnapshot as OpenSnapshot
    from .guard import ProtectedDatabaseError as ProtectedDatabaseError
    from .queries import max_queries as max_queries
    from .reset import RefusedError as RefusedError
    from .reset import drop_db as drop_db
    from .session import current_session as current_session
    from .session import rollback_test_context as rollback_test_context
    from .settings import replace_settings as replace_settings
    from .validation import Finding as Finding
    from .validation import Report as Report
    from .verdicts import VerdictError as VerdictError

HOMES = {
    "config": ("Isolation",),
    "database": ("IsolatedDatabase", "OpenDatabase", "OpenSnapshot"),
    "guard": ("ProtectedDatabaseError",),
    "queries": ("max_queries",),
    "reset": ("RefusedError", "drop_db"),
    "session": ("current_session", "rollback_test_context"),
    "settings": ("replace_settings",),
    "validation": ("Finding", "Report"),
    "verdicts": ("VerdictError",),
}


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: a child process needs `testdb.guard` only, and fast."""
    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
