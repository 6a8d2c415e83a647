"""Database migrations with Alembic as a product: README.md explains each name."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from migrator.backfill import batched
    from migrator.calls import Exit, Names
    from migrator.cli import main
    from migrator.database import Database
    from migrator.environment import Environment
    from migrator.errors import (
        BackupError,
        LockTimeoutError,
        MigrationError,
        RefusedError,
        UnknownRevisionError,
    )

HOMES = {
    "backfill": ("batched",),
    "calls": ("Exit", "Names"),
    "cli": ("main",),
    "database": ("Database",),
    "environment": ("Environment",),
    "errors": (
        "BackupError",
        "LockTimeoutError",
        "MigrationError",
        "RefusedError",
        "UnknownRevisionError",
    ),
}

__all__ = [
    "BackupError",
    "Database",
    "Environment",
    "Exit",
    "LockTimeoutError",
    "MigrationError",
    "Names",
    "RefusedError",
    "UnknownRevisionError",
    "batched",
    "main",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: a service that reads URLs needs no Alembic for it."""
    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
