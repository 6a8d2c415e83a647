"""Behind a real PgBouncer: migrations refuse what would take their lock away, an app works."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import sqlalchemy as sa
from migrator import Exit, RefusedError
from migrator.clickhouse import ClickHouse

from tests.migrator.project import REVISIONS, Project
from tests.migrator.test_readme import README
from tests.pooler import needs_pgbouncer, pgbouncer

pytestmark = needs_pgbouncer

# Poolers that give a connection no session of its own, each in another way.
TRANSACTION_POOLERS: dict[str, dict[str, object]] = {
    "the last session first": {},
    "sessions in turn": {"server_round_robin": 1},
    "one session": {"default_pool_size": 1},
    "start-up options dropped": {"ignore_startup_parameters": "options"},
    "by statement": {"mode": "statement"},
}
NO_SESSION = (
    "gives each transaction another session of the server: a lock would protect nothing, and stay"
)
SEARCH_PATH = {"options": "-c search_path=other"}


@contextmanager
def busy(url: sa.URL) -> Iterator[None]:
    """Let a pooler open five sessions, and keep the last one away from everybody else."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with ExitStack() as stack:
        connections = [stack.enter_context(engine.connect()) for _ in range(5)]
        for connection in connections:
            connection.exec_driver_sql("SELECT 1")
        for connection in connections[:-1]:
            connection.rollback()
        yield


def refusal(reason: str) -> str:
    """Return the message that refuses a pooler."""
    return (
        f"Refused, nothing was changed: DATABASE_URL leads to a connection pooler that {reason}."
        " Next: set MIGRATION_DATABASE_URL to the address of the server itself.\n"
    )


@pytest.mark.parametrize("settings", TRANSACTION_POOLERS.values(), ids=TRANSACTION_POOLERS)
def test_a_pooler_without_sessions_is_refused_and_keeps_nothing(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str], settings: dict[str, object]
) -> None:
    direct = postgresql_project
    direct.database.upgrade(REVISIONS[0])
    catalogue = direct.catalogue()

    with pgbouncer(direct.database.url, **settings) as url, ExitStack() as stack:  # type: ignore[arg-type]
        pooled = direct.having(url=url)
        if "mode" not in settings and "default_pool_size" not in settings:
            stack.enter_context(busy(url))
        commands = (["upgrade"], ["upgrade", "--plan"], ["downgrade", "--yes"])
        codes = [pooled.run(*words) for words in commands]
        with pytest.raises(RefusedError):
            pooled.database.upgrade()
        locks = direct.query("SELECT objid FROM pg_locks WHERE locktype = 'advisory'")

    assert codes == [Exit.REFUSED] * 3
    assert capsys.readouterr().err == refusal(NO_SESSION) * 3
    assert locks == []
    assert direct.catalogue() == catalogue
    assert not direct.database.backup_folder.exists()


def test_several_poolers_at_one_address_are_recognised(postgresql_project: Project) -> None:
    server = postgresql_project.database.url
    with (
        pgbouncer(server, so_reuseport=1) as url,
        pgbouncer(server, so_reuseport=1, listen_port=url.port),
    ):
        pooled = postgresql_project.having(url=url)

        assert [pooled.run("upgrade") for _ in range(5)] == [Exit.REFUSED] * 5


def test_runs_on_clickhouse_take_no_lock_behind_a_pooler(postgresql_project: Project) -> None:
    with pgbouncer(postgresql_project.database.url) as url:
        clickhouse = ClickHouse(
            url=sa.make_url("clickhouse://user:password@127.0.0.1:1/events"),
            ini=postgresql_project.database.ini,
            section="events",
            name="sample",
            backup_folder=postgresql_project.database.backup_folder,
            turns=postgresql_project.database.at(url),
        )

        with pytest.raises(RefusedError, match="DATABASE_URL leads to a connection"):
            clickhouse.upgrade()


def test_an_application_works_as_the_readme_says(postgresql_project: Project) -> None:
    [recipe] = re.findall(r"engine = (create_engine\(url, .+\))", README)

    with pgbouncer(postgresql_project.database.url, default_pool_size=1) as url:
        engine = eval(recipe, {"create_engine": sa.create_engine, "url": url})  # noqa: S307
        assert errors(engine) == []
        # As it would be without.
        assert "prepared statement" in errors(sa.create_engine(url))[0]


def errors(engine: sa.Engine) -> list[str]:
    """Return what fails if two connections execute a statement often, each in turn."""
    found = []
    with engine.connect() as one, engine.connect() as other:
        for connection in [one, other] * 10:
            try:
                connection.exec_driver_sql("SELECT 1")
            except sa.exc.DBAPIError as error:
                found.append(str(error))
            connection.commit()
    engine.dispose()
    return found


def test_the_status_changes_no_session_of_a_pooler(postgresql_project: Project) -> None:
    with pgbouncer(postgresql_project.database.url) as url:
        pooled = postgresql_project.having(url=url)

        code = pooled.run("status")

        assert code == Exit.DONE
        assert pooled.query("SHOW lock_timeout") == ["0"]


def test_a_pooler_that_keeps_sessions_serves_every_command(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    direct = postgresql_project
    with pgbouncer(direct.database.url, "session", default_pool_size=4) as url:
        pooled = direct.having(url=url)

        codes = [pooled.run("upgrade", REVISIONS[-2])]
        plans = [project.database.plan() for project in (pooled, direct)]
        commands = (["upgrade"], ["upgrade"], ["downgrade", "--yes"], ["status"])
        codes += [pooled.run(*words) for words in commands]

    assert codes == [Exit.DONE] * 5, capsys.readouterr().err
    assert plans[0].locks
    assert plans[0].locks == plans[1].locks
    assert direct.database.status().revision == REVISIONS[-2]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "refuses the start-up options of the URL"),
        ({"ignore_startup_parameters": "options"}, "drops the start-up options of the URL"),
    ],
)
def test_start_up_options_that_do_not_arrive_are_refused(
    postgresql_project: Project,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, object],
    reason: str,
) -> None:
    with pgbouncer(postgresql_project.database.url, "session", **settings) as url:
        pooled = postgresql_project.having(url=url.update_query_dict(SEARCH_PATH))

        code = pooled.run("upgrade")

    assert code == Exit.REFUSED
    assert capsys.readouterr().err == refusal(reason)


def test_start_up_options_and_the_limit_of_waits_arrive_at_the_server(
    postgresql_project: Project,
) -> None:
    url = postgresql_project.database.url.update_query_dict(SEARCH_PATH)
    project = postgresql_project.having(url=url, lock_timeout_ms=77)
    project.execute("CREATE SCHEMA other")
    project.write(
        "seen", "op.execute(\"CREATE TABLE seen AS SELECT current_setting('lock_timeout')\")"
    )

    code = project.run("upgrade")

    assert code == Exit.DONE
    assert project.query("SELECT current_setting FROM other.seen") == ["77ms"]
