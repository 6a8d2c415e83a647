"""Liveness never asks the database; readiness compares its schema with what the code expects."""

import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from placeholder_service.main import create_app
from placeholder_service.settings import Settings

from tests.fixtures.client import client_of

pytestmark = pytest.mark.integration


async def test_the_process_is_alive_without_a_database(app: FastAPI) -> None:
    async with client_of(app) as client:
        response = await client.get("/health/live")

    assert response.json() == {"status": "alive"}


async def test_an_unreachable_database_is_not_ready() -> None:
    nobody_listens = Settings(database_url="postgresql://user:password@127.0.0.1:1/service")

    async with client_of(create_app(nobody_listens)) as client:
        response = await client.get("/health/ready")

    assert (response.status_code, response.json()["status"]) == (503, "unreachable")


async def test_readiness_compares_revisions(migrated_url: sa.URL) -> None:
    app = create_app()
    app.state.readiness.cache_seconds = 0
    test_engine = sa.create_engine(migrated_url, poolclass=sa.NullPool)

    async with client_of(app) as client:
        migrated = await client.get("/health/ready")
        with test_engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE alembic_version"))
        behind = await client.get("/health/ready")

    assert (migrated.status_code, migrated.json()["status"]) == (200, "ready")
    assert (behind.status_code, behind.json()["status"]) == (503, "behind")
    assert behind.json()["expected_revision"] == migrated.json()["database_revision"]
