"""Liveness never asks the database; readiness compares its schema with what the code expects."""

import socket
import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from placeholder_service.db.readiness import ReadinessCheck
from placeholder_service.main import create_app
from placeholder_service.settings import Settings

from tests.fixtures.client import client_of

pytestmark = pytest.mark.integration


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"postgresql://user:password@127.0.0.1:{server.getsockname()[1]}/service"


async def test_the_process_is_alive_without_a_database(app: FastAPI) -> None:
    async with client_of(app) as client:
        response = await client.get("/health/live")

    assert response.json() == {"status": "alive"}


async def test_readiness_compares_revisions(migrated_url: sa.URL) -> None:
    app = create_app()
    readiness = app.state.readiness
    test_engine = sa.create_engine(migrated_url, poolclass=sa.NullPool)

    previous = "ready"
    for change, revision, status, code in (
        ("SELECT 1", readiness.head, "ready", 200),
        ("UPDATE alembic_version SET version_num = 'ffff'", "ffff", "ahead", 200),
        ("DELETE FROM alembic_version", None, "behind", 503),
        ("DROP TABLE alembic_version", None, "behind", 503),
    ):
        with test_engine.begin() as connection:
            connection.execute(sa.text(change))
        async with client_of(app) as client:
            readiness.cache_seconds = 60
            kept = await client.get("/health/ready")
            readiness.cache_seconds = 0
            response = await client.get("/health/ready")

        assert (response.status_code, response.json()["status"]) == (code, status)
        assert response.json()["database_revision"] == revision
        assert response.json()["expected_revision"] == readiness.head
        # Within the time it is cached, an answer is repeated.
        assert kept.json()["status"] == previous
        previous = status


async def test_an_unreachable_database_is_not_ready() -> None:
    nobody_listens = Settings(database_url="postgresql://user:password@127.0.0.1:1/service")

    async with client_of(create_app(nobody_listens)) as client:
        response = await client.get("/health/ready")

    assert (response.status_code, response.json()["status"]) == (503, "unreachable")


async def test_a_database_that_hangs_is_looked_at_by_one_thread(silent_server: str) -> None:
    settings = Settings(database_url=silent_server)
    app = create_app(settings)
    app.state.readiness = ReadinessCheck(settings, cache_seconds=0, limit_seconds=0.05)

    async with client_of(app) as client:
        answers = [await client.get("/health/ready") for _ in range(5)]
        looks = [it for it in threading.enumerate() if it.name == "readiness"]

    assert {answer.json()["detail"] for answer in answers} == {"The database does not answer."}
    assert len(looks) == 1
