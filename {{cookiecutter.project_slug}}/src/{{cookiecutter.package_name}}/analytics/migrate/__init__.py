"""Applies, rolls back and shows the migrations of ClickHouse.

`scripts/*.sh` run `commands`. From Python, call the functions below: they take a connection where
the caller has one, and use the configured ClickHouse otherwise.
"""

from {{cookiecutter.package_name}}.analytics.migrate.config import alembic_config
from {{cookiecutter.package_name}}.analytics.migrate.runs import downgrade, upgrade
from {{cookiecutter.package_name}}.analytics.migrate.state import status

__all__ = ["alembic_config", "downgrade", "status", "upgrade"]
