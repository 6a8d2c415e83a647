"""What the isolation has to be told about a service."""

from dataclasses import dataclass
from pathlib import Path

from alembic.config import Config
from sqlalchemy import URL


@dataclass(frozen=True)
class Isolation:
    """How to make test databases, and which databases are out of bounds.

    Attributes:
        alembic: Alembic's configuration; migrations run with it on the connection that is put
            into its attributes.
        protected: Databases no test may connect to, such as the development database.
        database_free: Folders of tests that need no database. A run that is limited to them
            builds none.
    """

    alembic: Config
    protected: tuple[URL, ...]
    database_free: tuple[Path, ...] = ()
