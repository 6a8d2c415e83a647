"""Applies, rolls back, shows and writes migrations.

`scripts/*.sh` run `commands`. From Python, call the functions below: they take a connection where
the caller has one, and use the configured database otherwise.
"""

from placeholder_service.db.migrate.config import alembic_config
from placeholder_service.db.migrate.planning import plan
from placeholder_service.db.migrate.runs import downgrade, upgrade
from placeholder_service.db.migrate.scratch import new_revision
from placeholder_service.db.migrate.state import status

__all__ = ["alembic_config", "downgrade", "new_revision", "plan", "status", "upgrade"]
