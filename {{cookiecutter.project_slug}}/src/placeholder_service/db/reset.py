"""Empties a database, if and only if it is one that the tests made for themselves."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.settings import Environment, Settings

# What the test isolation writes into every database it makes: SQLite's application id, and on
# PostgreSQL the comment of the database.
TEST_APPLICATION_ID = int.from_bytes(b"test")
TEST_COMMENT = "test database"

TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
}


class RefusedError(RuntimeError):
    """The database was not touched, because it may hold somebody's data."""


async def drop_db(session: AsyncSession, settings: Settings) -> None:
    """Drop every table, Alembic's included.

    Raises:
        RefusedError: ENVIRONMENT is not `test`, or the tests did not make this database.
    """
    if settings.environment is not Environment.TEST:
        raise RefusedError(
            f"drop_db() only runs in tests, and ENVIRONMENT is {settings.environment.value}."
            " To roll back migrations, use scripts/migrate-down.sh."
        )
    connection = await session.connection()
    dialect = connection.dialect
    if not await is_test_database(session, dialect.name):
        raise RefusedError(
            f"{connection.engine.url!r} was not made by the test isolation."
            " Use the db_session fixture."
        )
    names = await session.scalars(text(TABLES[dialect.name]))
    tables = [dialect.identifier_preparer.quote(name) for name in names]
    if dialect.name == "sqlite":
        # In whatever order the tables go: nothing refers to anything when all are gone.
        await session.execute(text("PRAGMA defer_foreign_keys = ON"))
        for table in tables:
            await session.execute(text(f"DROP TABLE {table}"))
    elif tables:
        await session.execute(text(f"DROP TABLE {', '.join(tables)} CASCADE"))


async def is_test_database(session: AsyncSession, dialect: str) -> bool:
    """Tell whether the database itself says that the tests made it."""
    if dialect == "sqlite":
        application_id = await session.scalar(text("PRAGMA application_id"))
        return bool(application_id == TEST_APPLICATION_ID)
    comment = await session.scalar(
        text(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database"
            " WHERE datname = current_database()"
        )
    )
    return str(comment).startswith(TEST_COMMENT)
