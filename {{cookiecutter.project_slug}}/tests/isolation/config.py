"""What the isolation has to be told about a service."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING  # if analytics == clickhouse

from alembic.config import Config
from sqlalchemy import URL, Connection, MetaData

# if analytics == clickhouse
if TYPE_CHECKING:
    from tests.isolation.clickhouse.config import Clickhouse

# end if
# Loads a scenario, by its name and scale factor, in the transaction of the connection.
Seed = Callable[[Connection, str, int], object]


@dataclass(frozen=True)
class Isolation:
    """How to make test databases, and which databases are out of bounds.

    Attributes:
        alembic: Alembic's configuration; migrations run with it on the connection that is put
            into its attributes.
        protected: Databases no test may connect to, such as the development database.
        replaced: Environment variables whose values tests replaced. A process that a test starts
            without them gets them back, and reads no settings file for them.
        database_free: Folders of tests that need no database. A run that is limited to them
            builds none.
        metadata: The tables of the models, for databases with a part of them.
        schemas: Names for such parts, each with the tables it starts from; what they refer to
            comes with them.
        seed: Loads one of the service's scenarios.
        # if analytics == clickhouse
        clickhouse: The same for ClickHouse, where the service uses it.
        # end if
    """

    alembic: Config
    protected: tuple[URL, ...]
    replaced: tuple[str, ...] = ("DATABASE_URL",)
    database_free: tuple[Path, ...] = ()
    metadata: MetaData | None = None
    schemas: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seed: Seed | None = None
    # if analytics == clickhouse
    clickhouse: "Clickhouse | None" = None
    # end if
