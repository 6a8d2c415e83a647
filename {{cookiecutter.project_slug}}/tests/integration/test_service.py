"""The service on its own engine, as `make run` starts it, on a database of its own."""

import logging
import re
import runpy
import sqlite3
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import IntegrityError, InvalidRequestError

from placeholder_service import __main__ as commands
from placeholder_service import main, migrate
from placeholder_service.api import admission
from placeholder_service.api.dependencies import SessionDep
from placeholder_service.db import engine
from placeholder_service.db.readiness import ReadinessCheck
from placeholder_service.lifespan import make_lifespan
from placeholder_service.models import ApiKey, User
from placeholder_service.settings import Settings

from tests.fixtures.client import client_of

pytestmark = pytest.mark.integration

STRANGER = {"X-API-Key": "unknown.key"}
CREATE_KEY = ["create-key", "--email", "Me@Example.com"]


@pytest.fixture
def sqlite_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SQLite file that is not migrated, and that the settings name."""
    path = tmp_path / "service.db"
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{path}")
    return path


async def test_the_service_serves_from_its_database(migrated_url: sa.URL) -> None:
    app = main.create_app()
    errors: list[InvalidRequestError] = []

    @app.get("/stream")
    async def stream(session: SessionDep) -> StreamingResponse:
        async def rows() -> AsyncIterator[str]:
            try:
                yield str(await session.scalar(sa.text("SELECT 1")))
            except InvalidRequestError as error:
                errors.append(error)

        return StreamingResponse(rows())

    async with client_of(app) as client:
        ready = await client.get("/health/ready")
        refused = await client.get("/thoughts", headers=STRANGER)
        streamed = await client.get("/stream")

    assert ready.json()["status"] == "ready"
    assert refused.status_code == 401
    # A stream outlives the transaction of its request.
    assert streamed.text == ""
    assert "permanently closed" in str(errors[0])


def test_the_server_gets_an_app_that_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])

    app = main.serve()  # noqa: TID251  # the database is in memory, and not opened

    assert app.title
    assert [handler.formatter is not None for handler in root.handlers] == [True]


async def test_everything_is_stopped_even_if_a_step_fails() -> None:
    calls: list[str] = []

    def fail() -> None:
        raise RuntimeError("stuck")

    stop = partial(calls.append, "stopped")
    # A coroutine function in both session styles.
    look = ReadinessCheck(Settings()).check
    app = FastAPI(lifespan=make_lifespan([look], [fail, stop]))

    async def start_and_stop() -> None:
        async with client_of(app):
            calls.append("started")

    with pytest.raises(RuntimeError, match="stuck"):
        await start_and_stop()

    assert calls == ["started", "stopped"]


async def test_as_many_requests_use_the_database_as_it_has_connections(
    sqlite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(database_pool_size=3)
    service_engine = engine.make_engine(settings)  # noqa: TID251  # the database is the test's own
    app = main.create_app(settings)
    places = app.state.places.value
    app.state.places = admission.make_places(0)
    monkeypatch.setattr(admission, "WAIT_SECONDS", 0)

    async with client_of(app) as client:
        busy = await client.get("/thoughts")

    assert "Pool size: 3 " in service_engine.pool.status()
    assert "Current Overflow: -3 " in service_engine.pool.status()
    assert places == 3
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "5")
    await service_engine.dispose()


async def test_a_writer_on_sqlite_stops_other_writers_but_not_readiness(
    sqlite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.database().upgrade()
    monkeypatch.setattr(engine, "SQLITE_BUSY_TIMEOUT_MS", 1)
    writer = sqlite3.connect(sqlite_file, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("BEGIN IMMEDIATE")

    async with client_of(main.create_app()) as client:
        ready = await client.get("/health/ready")
        locked = await client.get("/thoughts", headers=STRANGER)
        writer.close()
        recovered = await client.get("/thoughts", headers=STRANGER)

    assert ready.json()["status"] == "ready"
    assert (locked.status_code, locked.headers["Retry-After"]) == (503, "5")
    assert locked.headers["Content-Type"] == "application/problem+json"
    assert recovered.status_code == 401


async def test_a_commit_that_fails_on_sqlite_leaves_the_file_unlocked(sqlite_file: Path) -> None:
    service_engine = engine.make_engine(Settings())  # noqa: TID251  # the database is the test's own
    async with service_engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE parents (id PRIMARY KEY)")
        await connection.exec_driver_sql(
            "CREATE TABLE children (parent REFERENCES parents DEFERRABLE INITIALLY DEFERRED)"
        )

    async with service_engine.connect() as connection:
        await connection.exec_driver_sql("INSERT INTO children VALUES ('nobody')")
        with pytest.raises(IntegrityError):
            await connection.commit()
    writer = sqlite3.connect(sqlite_file, timeout=0, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")

    writer.close()
    await service_engine.dispose()


async def test_a_database_without_tables_is_a_fault_of_ours(sqlite_file: Path) -> None:
    async with client_of(main.create_app()) as client:
        response = await client.get("/thoughts", headers=STRANGER)

    assert response.status_code == 500


def test_keys_are_printed_once_and_kept_as_hashes(
    migrated_url: sa.URL, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_codes = [commands.main(CREATE_KEY) for _ in range(2)]

    keys = capsys.readouterr().out.split()
    test_engine = sa.create_engine(migrated_url, poolclass=sa.NullPool)
    with test_engine.connect() as connection:
        emails = connection.scalars(sa.select(User.email)).all()
        prefixes = connection.scalars(sa.select(ApiKey.prefix)).all()
    assert exit_codes == [0, 0]
    assert all(re.fullmatch(r"[0-9a-f]{12}\.[\w-]{43}", key) for key in keys)
    assert emails == ["me@example.com"]
    assert set(prefixes) == {key.partition(".")[0] for key in keys}


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


RUNS = [partial(commands.main, CREATE_KEY), partial(migrate.main, ["status"])]


@pytest.mark.parametrize("run", RUNS)
def test_unusable_settings_are_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Callable[[], int]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://user:password@host/service")

    exit_code = run()

    assert exit_code == 1
    assert "unsupported database 'mysql'" in capsys.readouterr().err


def test_a_key_for_an_unmigrated_database_names_the_next_command(
    sqlite_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code = commands.main(CREATE_KEY)

    assert exit_code == 1
    assert "Run scripts/migrate.sh" in capsys.readouterr().err


@pytest.mark.parametrize("module", [commands, migrate])
def test_commands_run_as_modules(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: ModuleType
) -> None:
    monkeypatch.setattr("sys.argv", ["command", "--help"])

    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(module.__file__), run_name="__main__")

    assert stop.value.code == 0
    assert "usage: " in capsys.readouterr().out
