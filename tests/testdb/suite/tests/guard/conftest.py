"""What is protected while the guard is attacked."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import URL
from testdb.guard import protect

from tests.guard.refusals import PASSWORD, PORT, REMOTE


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A protected file with other names beside it, in the current folder."""
    path = tmp_path / "50% real.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE rows_of_somebody (id INTEGER)")
    (tmp_path / "soft.db").symlink_to(path)
    (tmp_path / "hard.db").hardlink_to(path)
    (tmp_path / "folder").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    events = URL.create("chdb", database=str(tmp_path / "events"))
    protect([URL.create("sqlite", database=str(path)), events])
    return path


@pytest.fixture
def _servers() -> None:
    """Protected servers with which the tests have nothing to do."""
    url = URL.create("postgresql+psycopg", "me", PASSWORD, "localhost", PORT, "real")
    protect([url, url.set(host=REMOTE), url.set(host="", query={"host": "/nowhere"})])
    mysql = URL.create("mysql", host=REMOTE, port=3, database="shop")
    socket = mysql.set(host="", query={"unix_socket": "/nowhere/mysqld.sock"})
    protect([mysql, socket, URL.create("clickhouse", host=REMOTE, database="events")])
