"""Database of ClickHouse, with the same commands; needs clickhouse-connect[alembic]."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from migrator.clickhouse.database import ClickHouse as ClickHouse
    from migrator.clickhouse.environment import Environment as Environment

HOMES = {"ClickHouse": "database", "Environment": "environment"}


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for, as migrator itself does."""
    if name in HOMES:
        return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
