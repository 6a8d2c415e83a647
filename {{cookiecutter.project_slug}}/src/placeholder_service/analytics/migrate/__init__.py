"""Applies, rolls back and shows the migrations of ClickHouse.

`scripts/*.sh` run `commands`. From Python, call the functions below: they take a connection where
the caller has one, and use the configured ClickHouse otherwise.
"""

from placeholder_service.analytics.migrate.config import alembic_config
from placeholder_service.analytics.migrate.runs import downgrade, upgrade
from placeholder_service.analytics.migrate.state import status

__all__ = ["alembic_config", "downgrade", "status", "upgrade"]
