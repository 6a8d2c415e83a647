"""ClickHouse for tests: databases of their own on a server, or on the one that chdb embeds.

Leave the folder out where there is no ClickHouse; nothing else needs it.
"""

from .config import Clickhouse
from .environment import ClickhouseEnvironment, FullStack, FullStackEnvironment, OpenClickhouse

__all__ = [
    "Clickhouse",
    "ClickhouseEnvironment",
    "FullStack",
    "FullStackEnvironment",
    "OpenClickhouse",
]
