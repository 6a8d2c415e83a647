"""Database migrations with Alembic as a product: README.md explains each name."""

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
