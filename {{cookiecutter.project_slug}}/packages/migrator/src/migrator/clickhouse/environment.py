"""What the `env.py` of ClickHouse's migrations calls."""

from typing import Any

from clickhouse_connect.cc_sqlalchemy.alembic import ClickHouseImpl, include_object
from sqlalchemy import Connection

from migrator import environment
from migrator.drafts.autogenerate import TableFilter


class Environment(environment.Environment):
    """Connections and options for a run of Alembic on ClickHouse. It has no transactions."""

    def online(self, connection: Connection) -> dict[str, Any]:
        """Return the options of `context.configure` for a run on a connection."""
        return {
            "connection": connection,
            "include_name": TableFilter(connection),
            "include_object": include_object,
            "compare_server_default": True,
        }

    def offline(self) -> dict[str, Any]:
        """Return the options of `context.configure` for printing the SQL."""
        return {"dialect_name": ClickHouseImpl.__dialect__, "literal_binds": True}
