"""The service on its own engine, as `make run` starts it, on a database file of its own."""

import logging
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fastapi.responses import StreamingResponse
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, InvalidRequestError

from placeholder_service import __main__ as commands
from placeholder_service import main, migrate
from placeholder_service.api.dependencies import SessionDep
from placeholder_service.db import engine
from placeholder_service.settings import Settings

from tests.fixtures.client import client_of

pytestmark = pytest.mark.integration


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A migrated database file that the settings point to."""
    path = tmp_path / "service.db"
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{path}")
    migrate.database().upgrade()
    return path


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    yield root
    root.handlers = handlers


async def test_the_service_serves_from_its_database(database: Path) -> None:
    async with client_of(main.create_app()) as client:
        ready = await client.get("/health/ready")
        refused = await client.get("/thoughts", headers={"X-API-Key": "unknown.key"})

    assert ready.json()["status"] == "ready"
    assert refused.status_code == 401


async def test_the_server_gets_an_app_that_logs(
    database: Path,
    root_logger: logging.Logger,
) -> None:
    app = main.serve()  # noqa: TID251  # the database is this test's own
    [handler] = root_logger.handlers

    assert app.title
    assert handler.formatter is not None


async def test_readiness_does_not_wait_for_a_writer(database: Path) -> None:
    writer = sqlite3.connect(database, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("BEGIN IMMEDIATE")

    async with client_of(main.create_app()) as client:
        response = await client.get("/health/ready")
    writer.close()

    assert response.json()["status"] == "ready"


@pytest.mark.parametrize("size", [1, 3])
async def test_the_pool_holds_as_many_connections_as_set(database: Path, size: int) -> None:
    settings = Settings(database_pool_size=size)
    app = main.create_app(settings)
    service_engine = engine.make_engine(settings)  # noqa: TID251  # the database is the test's own

    status = service_engine.pool.status()
    await service_engine.dispose()

    assert f"Pool size: {size} " in status
    assert f"Current Overflow: {-size} " in status
    assert app.state.places.value == size


async def test_a_locked_database_is_answered_with_503(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SQLITE_BUSY_TIMEOUT_MS", 1)
    writer = sqlite3.connect(database, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")

    async with client_of(main.create_app()) as client:
        locked = await client.get("/thoughts", headers={"X-API-Key": "unknown.key"})
        writer.close()
        recovered = await client.get("/thoughts", headers={"X-API-Key": "unknown.key"})

    assert (locked.status_code, locked.headers["Retry-After"]) == (503, "5")
    assert locked.headers["Content-Type"] == "application/problem+json"
    assert recovered.status_code == 401


async def test_a_database_without_tables_is_a_fault_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")

    async with client_of(main.create_app()) as client:
        response = await client.get("/thoughts", headers={"X-API-Key": "unknown.key"})

    assert response.status_code == 500


async def test_a_stream_cannot_use_the_session_of_its_request(database: Path) -> None:
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
        writer = sqlite3.connect(database, timeout=0, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        writer.close()

    assert response.text == ""
    assert "permanently closed" in str(errors[0])


async def test_a_commit_that_fails_does_not_leave_the_database_locked(database: Path) -> None:
    service_engine = engine.make_engine(Settings())  # noqa: TID251  # the database is the test's own
    async with service_engine.begin() as connection:
        await connection.exec_driver_sql(
            "CREATE TABLE children (parent REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED)"
        )

    async with service_engine.connect() as connection:
        await connection.exec_driver_sql("INSERT INTO children VALUES ('nobody')")
        with pytest.raises(IntegrityError):
            await connection.commit()
    writer = sqlite3.connect(database, timeout=0, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")

    writer.close()
    await service_engine.dispose()


def test_a_key_is_printed_once_and_kept_as_a_hash(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code = commands.main(["create-key", "--email", "Me@Example.com"])

    key = capsys.readouterr().out.strip()
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT email, prefix FROM api_keys JOIN users").fetchall()
    connection.close()
    assert exit_code == 0
    assert re.fullmatch(r"[0-9a-f]{12}\.[\w-]{43}", key)
    assert rows == [("me@example.com", key.partition(".")[0])]


def test_a_second_key_goes_to_the_same_user(database: Path) -> None:
    for _ in range(2):
        commands.main(["create-key", "--email", "me@example.com"])

    with sqlite3.connect(database) as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM api_keys)"
        ).fetchone()
    connection.close()
    assert counts == (1, 2)


@pytest.mark.slow
def test_the_command_runs_as_a_module(database: Path) -> None:
    module = [sys.executable, "-m", "placeholder_service"]

    key = subprocess.run(
        [*module, "create-key", "--email", "me@example.com"],
        check=True,
        text=True,
        capture_output=True,
    ).stdout

    assert "." in key


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--email", "nobody"], "--email: value is not a valid email address"),
        (["--email", "me@example.com", "--name", ""], "--name: use 1 to 100 characters"),
    ],
)
def test_a_wrong_call_is_explained(
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as stop:
        commands.main(["create-key", *arguments])

    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_unusable_settings_are_explained(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://user:password@host/service")

    exit_code = commands.main(["create-key", "--email", "me@example.com"])

    assert exit_code == 1
    assert "unsupported database 'mysql'" in capsys.readouterr().err


def test_a_key_for_an_unmigrated_database_tells_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")

    exit_code = commands.main(["create-key", "--email", "me@example.com"])

    assert exit_code == 1
    assert "Run scripts/migrate.sh" in capsys.readouterr().err
