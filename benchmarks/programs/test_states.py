"""Fills a database at `performance` scale, keeps that state, and goes back to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from my_service.models import Base
from sqlalchemy import URL, Engine, NullPool, create_engine, event, func, select, text
from testdb.asyncio import AsyncIsolatedDatabase
from tests.bench.timing import REPEATS, timed, write
from tests.fixtures.scenarios import load

Sent = list[tuple[str, object]]


@contextmanager
def sending() -> Iterator[Sent]:
    """Note the rows that all engines send, as their drivers take them."""
    sent: Sent = []

    def note(_: object, __: object, statement: str, rows: object, *___: object) -> None:
        if statement.startswith("INSERT"):
            sent.append((statement, rows))

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)


def send(url: URL, sent: Sent) -> None:
    """Send them by the driver alone, and undo it; on PostgreSQL, once more with COPY."""
    is_file = url.get_backend_name() == "sqlite"
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connected: Any = sqlite3.connect(str(url.database)) if is_file else psycopg.connect(plain)
    with closing(connected) as connection:
        cursor = connection.cursor()
        with timed("driver"):
            for statement, rows in sent:
                cursor.executemany(statement, rows)
        connection.rollback()
        if not is_file:
            with timed("copy"):
                for statement, rows in sent:
                    copy(cursor, statement, rows)
            connection.rollback()


def insert(url: URL) -> None:
    """Insert them with SQLAlchemy on a plain engine, and undo it."""
    with create_engine(url, poolclass=NullPool).connect() as connection:
        with timed("plain"):
            load(connection, "performance")
        connection.rollback()


def copy(cursor: psycopg.Cursor, statement: str, rows: list[dict[str, object]]) -> None:
    """Write the rows of an INSERT with COPY."""
    table_and_columns, _, _ = statement.removeprefix("INSERT INTO ").partition(" VALUES ")
    with cursor.copy(f"COPY {table_and_columns} FROM STDIN") as writer:
        for row in rows:
            writer.write_row(list(row.values()))


@pytest.mark.parametrize("number", REPEATS)
async def test_states(isolated_database: AsyncIsolatedDatabase, number: int) -> None:
    with sending() as sent, timed("seed"):
        await isolated_database.seed("performance")
    await isolated_database.reset()
    send(isolated_database.url, sent)
    insert(isolated_database.url)
    await isolated_database.seed("performance")
    with timed("snapshot"):
        await isolated_database.snapshot("filled")
    async with isolated_database.session() as session:
        rows = 0
        for table in Base.metadata.sorted_tables:
            rows += await session.scalar(select(func.count()).select_from(table))
        await session.execute(text("DELETE FROM tasks"))
        await session.commit()
    with timed("restore"):
        await isolated_database.restore("filled")
    async with isolated_database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM tasks")) == 500
    write(rows=[rows])
