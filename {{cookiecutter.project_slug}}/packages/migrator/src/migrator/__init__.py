"""Database migrations with Alembic as a product: README.md explains each name."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from migrator.backfill import batched as batched
    from migrator.calls import Exit as Exit
    from migrator.calls import Names as Names
    from migrator.cli import main as main
    from migrator.database import Database as Database
    from migrator.environment import Environment as Environment
    from migrator.errors import BackupError as BackupError
    from migrator.errors import LockTimeoutError as LockTimeoutError
    from migrator.errors import MigrationError as MigrationError
    from migrator.errors import RefusedError as RefusedError
    from migrator.errors import UnknownRevisionError as UnknownRevisionError

HOMES = {
    "BackupError": "errors",
    "Database": "database",
    "Environment": "environment",
    "Exit": "calls",
    "LockTimeoutError": "errors",
    "MigrationError": "errors",
    "Names": "calls",
    "RefusedError": "errors",
    "UnknownRevisionError": "errors",
    "batched": "backfill",
    "main": "cli",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: a service that reads URLs needs no Alembic for it."""
    if name in HOMES:
        return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
