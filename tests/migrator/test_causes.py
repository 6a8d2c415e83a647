"""What an error of the database is due to, as both databases tell it."""

import pytest
import sqlalchemy as sa
from migrator.causes import is_conflict, is_outage
from sqlalchemy.exc import SQLAlchemyError

from tests.migrator.project import Project

CONFLICTS = {
    "UNIQUE": "INSERT INTO ones (id, code) VALUES (2, 'a')",
    "PRIMARY KEY": "INSERT INTO ones (id, code) VALUES (1, 'b')",
    "FOREIGN KEY": "INSERT INTO many (one) VALUES (7)",
    "what is referred to": "DELETE FROM ones",
}
FAULTS = {
    "NOT NULL": "INSERT INTO ones (id) VALUES (2)",
    "CHECK": "INSERT INTO ones (id, code) VALUES (2, '')",
    "wrong": "SELECT nothing FROM nowhere",
}


@pytest.mark.parametrize(
    "statement", [*CONFLICTS.values(), *FAULTS.values()], ids=[*CONFLICTS, *FAULTS]
)
def test_a_conflict_is_with_other_rows(project: Project, statement: str) -> None:
    project.upgraded()
    engine = sa.create_engine(project.database.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        for prepared in (
            "CREATE TABLE ones (id INTEGER PRIMARY KEY, code TEXT NOT NULL CHECK (code <> ''))",
            "CREATE UNIQUE INDEX of_code ON ones (code)",
            "CREATE TABLE many (one INTEGER REFERENCES ones (id))",
            "INSERT INTO ones VALUES (1, 'a')",
            "INSERT INTO many VALUES (1)",
        ):
            connection.exec_driver_sql(prepared)

        with pytest.raises(SQLAlchemyError) as caught, connection.begin_nested():
            connection.exec_driver_sql(statement)

    assert is_conflict(caught.value) == (statement in CONFLICTS.values())
    assert not is_outage(caught.value)


@pytest.mark.parametrize("limit", ["lock_timeout", "statement_timeout"])
def test_a_statement_that_waits_too_long_is_not_at_fault(
    postgresql_project: Project, limit: str
) -> None:
    engine = sa.create_engine(postgresql_project.database.url, poolclass=sa.NullPool)
    lock = "SELECT pg_advisory_xact_lock(7)"

    with engine.connect() as holder, engine.connect() as waiting:
        holder.exec_driver_sql(lock)
        waiting.exec_driver_sql(f"SET {limit} = 1")
        with pytest.raises(SQLAlchemyError) as caught:
            waiting.exec_driver_sql(lock)

    assert is_outage(caught.value)


def test_an_outage_is_not_the_statements_fault() -> None:
    nobody_listens = sa.create_engine("postgresql+psycopg://u:p@127.0.0.1:1/x")
    full = sa.create_engine(
        "sqlite://", poolclass=sa.QueuePool, max_overflow=0, pool_size=1, pool_timeout=0
    )

    with pytest.raises(SQLAlchemyError) as no_server:
        nobody_listens.connect()
    with full.connect(), pytest.raises(SQLAlchemyError) as no_place:
        full.connect()

    assert is_outage(no_server.value)
    assert is_outage(no_place.value)
    assert not is_conflict(no_place.value)
