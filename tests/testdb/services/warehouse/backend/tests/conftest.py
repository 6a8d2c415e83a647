from pathlib import Path

from alembic.config import Config
from testdb import Isolation, replace_settings

ROOT = Path(__file__).parents[2]
POSTGRES = {
    "drivername": "postgresql+asyncpg",
    "host": "POSTGRES_HOST",
    "port": "POSTGRES_PORT",
    "database": "POSTGRES_DB",
}
real = replace_settings(ROOT / ".env", parts=[POSTGRES])

from sqlalchemy.ext.asyncio import create_async_engine  # noqa: E402
from warehouse.database import OPTIONS, SessionLocal  # noqa: E402

isolation = Isolation(
    alembic=Config("alembic.ini"),
    protected=real,
    database="postgresql",
    engine=lambda url: create_async_engine(url, **OPTIONS),
    sessions=lambda engine: SessionLocal,
)


def pytest_testdb_isolation():
    return isolation
