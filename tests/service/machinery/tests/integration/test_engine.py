"""What the service's own engine and sessions do in trouble: locked, lost, streaming."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError

from placeholder_service import main, migrate
from placeholder_service.api.dependencies import SessionDep
from placeholder_service.db import engine
from placeholder_service.settings import PROJECT_ROOT, Settings

from tests.fixtures.client import client_of

pytestmark = pytest.mark.integration


def app_with_query(sql: str) -> FastAPI:
    """Return the service with a route more, which runs a query."""
    app = main.create_app()

    @app.get("/query")
    @app.post("/query")
    async def query(session: SessionDep) -> None:
        await session.execute(text(sql))

    return app


@pytest.mark.usefixtures("migrated_url")
async def test_the_service_serves_from_its_database() -> None:
    async with client_of(app_with_query("SELECT count(*) FROM alembic_version")) as client:
        response = await client.get("/query")

    assert response.status_code == 200


@pytest.mark.parametrize("size", [1, 3, 20])
async def test_the_pool_holds_as_many_connections_as_set(sqlite_file: Path, size: int) -> None:
    settings = Settings(database_pool_size=size)
    app = main.create_app(settings)
    service_engine = engine.make_engine(settings)  # noqa: TID251  # the database is the test's own

    status = service_engine.pool.status()
    await service_engine.dispose()

    assert f"Pool size: {size} " in status
    assert f"Current Overflow: {-size} " in status
    # More writers than ten would wait too long for each other on SQLite.
    assert app.state.places.value == min(size, 10)


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
async def test_a_writer_on_sqlite_keeps_only_writers_waiting(
    sqlite_file: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(engine, "SQLITE_BUSY_TIMEOUT_MS", 1)
    writer = sqlite3.connect(sqlite_file, isolation_level=None)
    writer.execute(f"PRAGMA journal_mode = {mode}")
    writer.execute("BEGIN IMMEDIATE")

    async with client_of(app_with_query("SELECT 1")) as client:
        ready = await client.get("/health/ready")
        read = await client.get("/query")
        locked = await client.post("/query")
        writer.close()
        recovered = await client.post("/query")

    assert ready.json()["status"] == "behind"
    assert (locked.status_code, locked.headers["Retry-After"]) == (503, "5")
    assert locked.headers["Content-Type"] == "application/problem+json"
    assert (read.status_code, recovered.status_code) == (200, 200)


def test_backups_are_in_a_folder_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv("BACKUP_FOLDER", "data/copies")

    assert migrate.database().backup_folder == PROJECT_ROOT / "data/copies"


def test_a_postgresql_that_is_lost_is_noticed_unless_the_url_says_otherwise() -> None:
    settings = Settings(database_url="postgresql://u:p4@h/d?connect_timeout=9")

    query = engine.make_engine(settings).url.query  # noqa: TID251  # it does not connect

    assert (query["connect_timeout"], query["keepalives_idle"]) == ("9", "30")


async def test_a_table_that_is_not_there_is_a_fault_of_ours(sqlite_file: Path) -> None:
    async with client_of(app_with_query("SELECT * FROM nowhere")) as client:
        response = await client.get("/query")

    assert response.status_code == 500


async def test_a_stream_cannot_use_the_session_of_its_request(sqlite_file: Path) -> None:
    app = main.create_app()
    errors: list[InvalidRequestError] = []

    @app.get("/stream")
    async def stream(session: SessionDep) -> StreamingResponse:
        async def rows() -> AsyncIterator[str]:
            try:
                yield str(await session.scalar(text("SELECT 1")))
            except InvalidRequestError as error:
                errors.append(error)

        return StreamingResponse(rows())

    async with client_of(app) as client:
        response = await client.get("/stream")
        writer = sqlite3.connect(sqlite_file, timeout=0, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        writer.close()

    assert response.text == ""
    assert "permanently closed" in str(errors[0])
