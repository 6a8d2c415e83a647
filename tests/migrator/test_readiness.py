"""Whether a service can use its database, without waiting for one that does not answer."""

import asyncio
import socket
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from migrator.readiness import Readiness, ReadinessCheck

from tests.migrator.project import HEAD, Project


def ask(check: ReadinessCheck, times: int = 1) -> list[Readiness]:
    """Return what is answered, one time after the other."""

    async def ask_each() -> list[Readiness]:
        return [await check.check() for _ in range(times)]

    return asyncio.run(ask_each())


def test_the_database_is_compared_with_the_code(project: Project) -> None:
    check = ReadinessCheck(project.database.url, project.upgraded().database.scripts())
    check.cache_seconds = 0

    found = []
    for change in (
        "SELECT 1",
        "UPDATE alembic_version SET version_num = '0002'",
        "UPDATE alembic_version SET version_num = 'newer'",
        "DELETE FROM alembic_version",
        "DROP TABLE alembic_version",
    ):
        project.execute(change)
        found += ask(check)
    check.cache_seconds = 60
    project.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
    project.execute("INSERT INTO alembic_version VALUES ('0004')")
    [repeated] = ask(check)

    assert [(answer.status, answer.database_revision) for answer in found] == [
        ("ready", HEAD),
        ("behind", "0002"),
        ("ahead", "newer"),
        ("behind", None),
        ("behind", None),
    ]
    assert [answer.ready for answer in found] == [True, False, True, False, False]
    assert repeated == found[-1]


def test_a_look_at_a_file_that_is_missing_creates_none(sqlite_project: Project) -> None:
    url = sqlite_project.database.url
    Path(str(url.database)).parent.mkdir()

    [found] = ask(ReadinessCheck(url, sqlite_project.database.scripts()))

    assert found.status == "behind"
    assert not Path(str(url.database)).exists()


def test_a_fork_of_the_history_needs_both_ends(sqlite_project: Project) -> None:
    one = sqlite_project.upgraded().write("one", "pass")
    one.with_name("other.py").write_text(one.read_text().replace("'one'", "'other'"))
    check = ReadinessCheck(
        sqlite_project.database.url, sqlite_project.database.scripts(), cache_seconds=0
    )

    found = ask(check)
    sqlite_project.execute("UPDATE alembic_version SET version_num = 'one'")
    found += ask(check)
    sqlite_project.execute("INSERT INTO alembic_version VALUES ('other')")
    found += ask(check)

    assert [(answer.status, answer.database_revision) for answer in found] == [
        ("behind", HEAD),
        ("behind", "one"),
        ("ready", "one, other"),
    ]
    assert {answer.expected_revision for answer in found} == {"one, other"}


def test_a_database_that_hangs_is_looked_at_by_one_thread(sqlite_project: Project) -> None:
    scripts = sqlite_project.database.scripts()
    before = set(threading.enumerate())

    # It takes connections, and never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = sa.URL.create("postgresql+psycopg", "user", "s3cret", "127.0.0.1", port, "service")
        check = ReadinessCheck(url, scripts, cache_seconds=0, limit_seconds=0.05)
        check.abandon_seconds = 900
        answers = ask(check, times=5)
        looks = [it for it in set(threading.enumerate()) - before if it.name == "readiness"]

    assert {answer.detail for answer in answers} == {"The database does not answer."}
    assert len(looks) == 1


def test_a_look_that_hangs_is_given_up(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sqlite_project.upgraded().database.url
    check = ReadinessCheck(url, sqlite_project.database.scripts(), limit_seconds=0.05)
    check.abandon_seconds = 0
    released = threading.Event()
    read = ReadinessCheck.read_revisions

    with monkeypatch.context() as patch:
        patch.setattr(ReadinessCheck, "read_revisions", lambda _: released.wait())
        [hanging] = ask(check)
        patch.setattr(ReadinessCheck, "read_revisions", read)
        check.limit_seconds = 900
        [again] = ask(check)
    released.set()

    assert (hanging.status, again.status) == ("unreachable", "ready")


def test_a_connection_that_is_lost_is_noticed(sqlite_project: Project) -> None:
    url = sa.make_url("postgresql+psycopg://user@127.0.0.1/service?keepalives_idle=7")

    found = ReadinessCheck(url, sqlite_project.database.scripts()).engine.url.query

    assert (found["keepalives_idle"], found["tcp_user_timeout"]) == ("7", "30000")


def test_a_database_behind_a_squashed_revision_is_behind(sqlite_project: Project) -> None:
    path = sqlite_project.versions / "0001_authors.py"
    path.write_text(path.read_text() + "replaces = {'0000': 'its checksum'}\n")
    sqlite_project.upgraded().execute("UPDATE alembic_version SET version_num = '0000'")

    [found] = ask(ReadinessCheck(sqlite_project.database.url, sqlite_project.database.scripts()))

    assert (found.status, found.database_revision) == ("behind", "0000")


def test_a_database_that_is_away_is_not_ready(sqlite_project: Project) -> None:
    url = sa.make_url("postgresql+psycopg://user:s3cret@127.0.0.1:1/service")

    [answer] = ask(ReadinessCheck(url, sqlite_project.database.scripts(), limit_seconds=60))

    assert (answer.status, answer.ready) == ("unreachable", False)


def test_a_fault_of_the_check_itself_is_not_hidden(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: ReadinessCheck) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ReadinessCheck, "read_revisions", fail)

    with pytest.raises(ZeroDivisionError):
        ask(ReadinessCheck(sqlite_project.database.url, sqlite_project.database.scripts()))
