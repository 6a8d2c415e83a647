"""Liveness never asks the database; readiness tells how its schema compares with the code."""

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from {{cookiecutter.package_name}}.db.readiness import ReadinessCheck
from {{cookiecutter.package_name}}.main import create_app
from {{cookiecutter.package_name}}.settings import Settings

from tests.conftest import test_session_maker
from tests.fixtures.client import ApiClient, client_of

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def fresh_readiness(app: FastAPI) -> None:
    """Forget what an earlier test found."""
    app.state.readiness = ReadinessCheck(test_session_maker, cache_seconds=60)


async def test_the_process_is_alive_without_a_database(app: FastAPI) -> None:
    async with client_of(app) as client:
        response = await client.get("/health/live")

    assert response.json() == {"status": "alive"}


async def test_a_migrated_database_is_ready(api_client: ApiClient) -> None:
    response = await api_client.get("/health/ready")

    body = response.json()
    assert (response.status_code, body["status"]) == (200, "ready")
    assert body["database_revision"] == body["expected_revision"]


@pytest.mark.parametrize(
    ("change", "revision", "status", "code"),
    [
        pytest.param("DELETE FROM alembic_version", None, "behind", 503, id="empty"),
        pytest.param("DROP TABLE alembic_version", None, "behind", 503, id="never migrated"),
        pytest.param(
            "UPDATE alembic_version SET version_num = 'ffff'", "ffff", "ahead", 200, id="newer"
        ),
    ],
)
async def test_another_revision_is_named(
    api_client: ApiClient,
    db_session: AsyncSession,
    change: str,
    revision: str | None,
    status: str,
    code: int,
) -> None:
    await db_session.execute(text(change))

    response = await api_client.get("/health/ready")

    assert (response.status_code, response.json()["status"]) == (code, status)
    assert response.json()["database_revision"] == revision
    assert response.json()["expected_revision"] not in (None, revision)


async def test_an_unreachable_database_is_not_ready() -> None:
    nobody_listens = Settings(database_url="postgresql://user:password@127.0.0.1:1/service")

    async with client_of(create_app(nobody_listens)) as client:
        response = await client.get("/health/ready")

    assert (response.status_code, response.json()["status"]) == (503, "unreachable")


async def test_the_answer_is_kept_for_a_moment(
    api_client: ApiClient,
    db_session: AsyncSession,
) -> None:
    before = await api_client.get("/health/ready")
    await db_session.execute(text("DELETE FROM alembic_version"))

    after = await api_client.get("/health/ready")

    assert after.json() == before.json()
