"""Readiness compares the schema with what the code expects, whatever the database does."""

import asyncio
import logging
import socket
import threading

import pytest
import sqlalchemy as sa
from migrator import Readiness, ReadinessCheck

from tests.migrator.project import HEAD, Project
from tests.running import LIMIT


def ask(check: ReadinessCheck) -> Readiness:
    """Return the answer of a check."""
    return asyncio.run(check.check())


def test_the_revision_of_the_database_is_compared(project: Project) -> None:
    check = ReadinessCheck(project.upgraded().database, cache_seconds=0)

    for change, revision, status, is_ready in (
        ("SELECT 1", HEAD, "ready", True),
        ("UPDATE alembic_version SET version_num = 'ffff'", "ffff", "ahead", True),
        ("UPDATE alembic_version SET version_num = '0001'", "0001", "behind", False),
        ("DELETE FROM alembic_version", None, "behind", False),
        ("DROP TABLE alembic_version", None, "behind", False),
    ):
        project.execute(change)
        found = ask(check)

        assert (found.status, found.ready, found.database_revision) == (status, is_ready, revision)
        assert found.expected_revision == HEAD


def test_an_answer_is_repeated_for_some_time(sqlite_project: Project) -> None:
    check = ReadinessCheck(sqlite_project.upgraded().database, cache_seconds=3600)
    first = ask(check)
    sqlite_project.execute("DROP TABLE alembic_version")

    assert ask(check) == first


def test_a_database_that_hangs_is_looked_at_by_one_thread(sqlite_project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = sa.make_url(f"postgresql+psycopg://user:password@127.0.0.1:{port}/service")
        database = sqlite_project.database.at(url)
        check = ReadinessCheck(database, cache_seconds=0, limit_seconds=0.05)

        answers = {ask(check).detail for _ in range(5)}
        looks = [it for it in threading.enumerate() if it.name == "readiness"]
    for look in looks:
        look.join(LIMIT)

    assert answers == {"The database does not answer."}
    assert len(looks) == 1


def test_an_unreachable_database_is_logged(
    sqlite_project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    url = sa.make_url("postgresql+psycopg://user:password@127.0.0.1:1/service")

    with caplog.at_level(logging.WARNING):
        found = ask(ReadinessCheck(sqlite_project.database.at(url)))

    assert (found.status, found.ready) == ("unreachable", False)
    assert caplog.messages == ["database unreachable"]


def test_a_fault_of_the_check_itself_is_not_hidden(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: ReadinessCheck) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ReadinessCheck, "read_revision", fail)

    with pytest.raises(ZeroDivisionError):
        ask(ReadinessCheck(sqlite_project.database))
