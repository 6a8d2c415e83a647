"""Makes sure that the service's engine opens the database that testdb made it for.

A function that ignores the URL it is given, and an engine with a `creator`, would run tests on what
they open instead: it would keep what tests commit.
"""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Dialect, Engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from .guard.urls import describe

# How a connection is asked for its database, by the engine.
QUESTIONS = {
    "sqlite": "SELECT file FROM pragma_database_list WHERE name = 'main'",
    "postgresql": "SELECT current_database()",
}
# That the URL has led to a connection.
BY_URL = "testdb_by_url"


def hold_to(engine: Engine, url: URL) -> None:
    """Make an engine refuse every connection that is not one to this URL's database.

    Raises:
        pytest.UsageError: It is made for another one.
    """
    name = engine.url.database
    # An engine without a name gets it in another way.
    if name and str(url.database) not in name:
        raise elsewhere(url, describe(engine.url))

    def note(_dialect: Dialect, record: ConnectionPoolEntry, *_: object) -> None:
        record.info[BY_URL] = True

    def check(connection: Any, record: ConnectionPoolEntry) -> None:
        if BY_URL not in record.info:
            opened = opened_by(connection, url)
            if not is_same(opened, url):
                # The pool does not, after an error here.
                connection.close()
                raise elsewhere(url, opened or "a database in memory")

    # Behind the service's own: one that opens a connection itself ends the event.
    event.listen(engine, "do_connect", note)
    event.listen(engine, "connect", check, insert=True)


def opened_by(connection: Any, url: URL) -> str:
    """Return the name of the database that a driver's connection is to, or its file."""
    cursor = connection.cursor()
    cursor.execute(QUESTIONS[url.get_backend_name()])
    (name,) = cursor.fetchone()
    cursor.close()
    connection.rollback()
    return str(name or "")


def is_same(name: str, url: URL) -> bool:
    """Tell whether a database with this name, or a file, is the one of a URL."""
    if url.get_backend_name() == "sqlite":
        return bool(name) and Path(name).resolve() == Path(str(url.database)).resolve()
    return name == url.database


def elsewhere(url: URL, opened: str) -> pytest.UsageError:
    """Return the error that says what was opened, and what to change."""
    return pytest.UsageError(
        f"your engine function, `engine` of the Isolation, ignores the URL it is given: for"
        f" {describe(url)} it opens {opened}. Make an engine for that URL, without a `creator`"
    )
