"""A server that fails for a moment while a database is put back: no test gets it as it was left.

The same for a run that is interrupted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import testdb.database
import testdb.fixtures
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import sessionmaker
from testdb import Isolation
from testdb.postgresql.database import PostgresqlDatabase
from testdb.report import IsolationReport
from testdb.run import Run

from tests.processes import run_pytest

pytestmark = pytest.mark.slow

# What only a copy of the template puts back.
LEFT = (
    "INSERT INTO users (id, email, name)"
    " VALUES ('00000000000000000000000000000001', 'one@example.com', 'One');"
    " ALTER TABLE users ADD extra INTEGER"
)


@pytest.fixture
def storage(own_run: Run) -> Iterator[PostgresqlDatabase]:
    """A PostgreSQL database that no other test uses."""
    with own_run.postgresql.isolated() as database:
        yield database


@pytest.fixture
def database(
    own_run: Run, storage: PostgresqlDatabase
) -> Iterator[testdb.database.IsolatedDatabase]:
    """The database as tests get it, with a synchronous engine."""
    isolation: Isolation[Any] = replace(
        own_run.isolation, engine=create_engine, sessions=sessionmaker
    )
    database = testdb.database.IsolatedDatabase(storage, isolation, IsolationReport())
    yield database
    database.close()


@contextmanager
def without_template(storage: PostgresqlDatabase) -> Iterator[None]:
    """Let the server refuse to make copies."""
    template, storage.template = storage.template, "missing"
    yield
    storage.template = template


def fail_to_make_a_spare(storage: PostgresqlDatabase) -> None:
    """Let the thread fail that makes the next copy."""
    with without_template(storage):
        storage.spare = storage.thread.submit(storage.make_spare)
        assert storage.spare.exception() is not None


def leave_something(storage: PostgresqlDatabase) -> None:
    """Leave a row and a column."""
    with storage.connected() as connection:
        connection.execute(text(LEFT))
        connection.commit()


def count_users(storage: PostgresqlDatabase) -> object:
    """Return how many users there are."""
    with storage.connected() as connection:
        return connection.scalar(text("SELECT count(*) FROM users"))


def test_a_spare_that_could_not_be_made_is_made_when_it_is_needed(
    storage: PostgresqlDatabase,
) -> None:
    fail_to_make_a_spare(storage)
    leave_something(storage)

    needed = storage.renew()

    assert (needed, count_users(storage)) == ("spare", 0)


def test_a_spare_that_could_not_be_made_does_not_keep_the_database_from_being_dropped(
    own_run: Run,
) -> None:
    with own_run.postgresql.isolated() as storage:
        fail_to_make_a_spare(storage)

    assert storage.name not in own_run.postgresql.server.databases()


def test_the_next_test_waits_for_a_database_that_was_not_put_back(
    request: pytest.FixtureRequest,
    own_run: Run,
    storage: PostgresqlDatabase,
    database: testdb.database.IsolatedDatabase,
) -> None:
    def begin() -> Iterator[object]:
        steps = testdb.fixtures.isolated_database(request, own_run, database)
        next(steps)
        return steps

    steps = begin()
    leave_something(storage)

    with without_template(storage):
        with pytest.raises(DBAPIError, match="missing"):
            next(steps)
        with pytest.raises(DBAPIError, match="missing"):
            begin()
    steps = begin()

    assert count_users(storage) == 0
    assert next(steps, "over") == "over"


def test_a_database_that_a_copy_did_not_replace_is_made_by_the_next(
    storage: PostgresqlDatabase,
) -> None:
    leave_something(storage)
    with without_template(storage), pytest.raises(DBAPIError, match="missing"):
        storage.reset()

    needed = storage.reset()

    assert (needed, count_users(storage)) == ("copy", 0)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_no_verdict_is_given_on_a_test_that_is_interrupted(engine: str) -> None:
    victims = Path(__file__).with_name("victims.py")

    output = run_pytest("--database", engine, "-k", "is_interrupted", str(victims))

    assert "! KeyboardInterrupt !" in output
    assert "Traceback" not in output
    assert "Error" not in output
