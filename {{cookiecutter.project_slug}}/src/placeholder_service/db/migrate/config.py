"""Where the migrations are, for Alembic and for whoever asks about them."""

from io import StringIO
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from placeholder_service.db.migrate.history import Report
from placeholder_service.settings import PROJECT_ROOT


def alembic_config(connection: Connection | None = None, report: Report | None = None) -> Config:
    """Return Alembic's configuration, bound to a connection if one is given.

    `report` is told of every revision that was run, and how many seconds it took.
    """
    # Alembic reports to a stream; whoever calls from Python gets results and exceptions instead.
    config = Config(PROJECT_ROOT / "alembic.ini", stdout=StringIO())
    config.attributes["connection"] = connection
    config.attributes["report"] = report
    return config


def script_directory() -> ScriptDirectory:
    """Return the migrations of the project."""
    return ScriptDirectory.from_config(alembic_config())


def relative_name(path: str | Path) -> str:
    """Return a file's path as seen from the project's folder, if it is in there."""
    path = Path(path)
    return str(path.relative_to(PROJECT_ROOT) if path.is_relative_to(PROJECT_ROOT) else path)
