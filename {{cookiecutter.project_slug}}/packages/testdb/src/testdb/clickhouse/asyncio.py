"""PostgreSQL and ClickHouse together, for services whose engines are asynchronous."""

from typing import TypedDict

from clickhouse_connect.driver.client import Client
from sqlalchemy.ext.asyncio import AsyncSession

from ..asyncio import AsyncIsolatedDatabase, Awaited
from .environment import ClickhouseEnvironment, FullStackEnvironment

__all__ = ["AsyncFullStack", "AsyncFullStackEnvironment"]


class AsyncFullStackEnvironment:
    """A `FullStackEnvironment` whose methods are awaited.

    Attributes:
        synchronous: What does the work.
        test_id: Whose the databases are.
    """

    def __init__(self, environment: FullStackEnvironment) -> None:
        self.synchronous = environment
        self.test_id = environment.test_id
        self.postgres = AsyncIsolatedDatabase(environment.postgres)
        self.clickhouse: ClickhouseEnvironment = environment.clickhouse

    create_snapshot = Awaited(FullStackEnvironment.create_snapshot)
    restore_snapshot = Awaited(FullStackEnvironment.restore_snapshot)
    seed = Awaited(FullStackEnvironment.seed)
    validate_database_state = Awaited(FullStackEnvironment.validate_database_state)
    get_database_info = Awaited(FullStackEnvironment.get_database_info)
    cleanup_databases = Awaited(FullStackEnvironment.cleanup_databases)


class AsyncFullStack(TypedDict):
    """Both databases of a test."""

    postgres_session: AsyncSession
    clickhouse_client: Client
    clickhouse_database: str
    config: AsyncFullStackEnvironment
