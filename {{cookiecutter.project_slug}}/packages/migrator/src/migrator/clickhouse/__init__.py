"""Database of ClickHouse, with the same commands; needs clickhouse-connect[alembic]."""

from migrator.clickhouse.database import ClickHouse
from migrator.clickhouse.environment import Environment

__all__ = ["ClickHouse", "Environment"]
