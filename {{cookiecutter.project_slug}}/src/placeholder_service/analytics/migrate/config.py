"""Where the migrations of ClickHouse are, for Alembic and for whoever asks about them."""

from io import StringIO

import clickhouse_connect.cc_sqlalchemy.alembic  # noqa: F401  # tells Alembic of ClickHouse
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from placeholder_service.settings import PROJECT_ROOT


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration, bound to a connection if one is given."""
    # Alembic reports to a stream; whoever calls from Python gets results and exceptions instead.
    config = Config(PROJECT_ROOT / "alembic.ini", ini_section="analytics", stdout=StringIO())
    config.attributes["connection"] = connection
    return config


def script_directory() -> ScriptDirectory:
    """Return the migrations of ClickHouse."""
    return ScriptDirectory.from_config(alembic_config())
