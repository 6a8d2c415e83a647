"""The service on its own engine, as `make run` starts it, on a database of its own."""

import logging
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from placeholder_service import main
from placeholder_service.db import engine
from placeholder_service.settings import Settings

pytestmark = pytest.mark.integration


def test_the_server_gets_an_app_that_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])

    app = main.serve()  # noqa: TID251  # the database is in memory, and not opened

    assert app.title
    assert [handler.formatter is not None for handler in root.handlers] == [True]


async def test_a_commit_that_fails_does_not_leave_the_database_locked(sqlite_file: Path) -> None:
    service_engine = engine.make_engine(Settings())  # noqa: TID251  # the database is the test's own
    async with service_engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        await connection.exec_driver_sql(
            "CREATE TABLE children (parent REFERENCES parents DEFERRABLE INITIALLY DEFERRED)"
        )

    async with service_engine.connect() as connection:
        await connection.exec_driver_sql("INSERT INTO children VALUES (1)")
        with pytest.raises(IntegrityError):
            await connection.commit()
    writer = sqlite3.connect(sqlite_file, timeout=0, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")

    writer.close()
    await service_engine.dispose()
