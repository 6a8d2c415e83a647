"""`make seed` fills a database with a scenario: all of it, or nothing."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from {{cookiecutter.package_name}}.db import migrate
from {{cookiecutter.package_name}}.models import Base

from scripts import seed
from tests.fixtures import scenarios

pytestmark = pytest.mark.integration

Run = Callable[..., tuple[int, str]]
TABLES = Base.metadata.sorted_tables
SCENARIOS = set(scenarios.SCENARIOS)
# if analytics == clickhouse
# Its events need ClickHouse, and a test of their own.
SCENARIOS -= {"analytics"}
# end if


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SQLite file that is not there yet, and that the settings point to."""
    path = tmp_path / "scratch.db"
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> sa.URL:
    """An empty, migrated database of each kind in turn, which the settings point to."""
    url = sa.URL.create("sqlite", database=str(tmp_path / "scratch.db"))
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_database")
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    migrate.upgrade()
    return url


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command, and returns its exit code and what it printed."""

    def run_seed(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        exit_code = seed.main(arguments)
        output = capsys.readouterr()
        return exit_code, output.out + output.err

    return run_seed


def sizes(url: sa.URL) -> dict[str, int]:
    """Return how many rows each table has, empty tables left out."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        found = {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in TABLES
        }
    return {name: size for name, size in found.items() if size}


def content(url: sa.URL) -> dict[str, set[str]]:
    """Return the rows of each table a scenario fills, written out."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return {
            table.name: {
                json.dumps(dict(row), default=str, sort_keys=True)
                for row in connection.execute(sa.select(table)).mappings()
            }
            for table in scenarios.TABLES
        }


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_a_scenario_is_written_as_it_was_made(database: sa.URL, run: Run, scenario: str) -> None:
    exit_code, output = run(scenario)

    assert exit_code == seed.DONE
    assert sizes(database) == scenarios.counts(scenario)._asdict()
    assert content(database) == {
        table.name: {json.dumps(row, default=str, sort_keys=True) for row in rows}
        for table, rows in scenarios.rows(scenario).items()
    }
    assert f"Added {scenarios.counts(scenario).users} users, " in output


def test_a_scale_factor_multiplies_every_count(database: sa.URL, run: Run) -> None:
    exit_code, _ = run("performance", "--scale", "2")

    assert exit_code == seed.DONE
    assert sizes(database) == scenarios.counts("performance", 2)._asdict()


def test_the_caller_can_still_roll_back(database: sa.URL) -> None:
    engine = sa.create_engine(database, poolclass=sa.NullPool)
    with engine.connect() as connection:
        scenarios.load(connection, "minimal")
        connection.rollback()

    assert sizes(database) == {}


def test_progress_ends_with_all_rows(database: sa.URL) -> None:
    reports: list[tuple[int, int]] = []
    engine = sa.create_engine(database, poolclass=sa.NullPool)
    with engine.begin() as connection:
        scenarios.load(connection, "performance", progress=lambda *seen: reports.append(seen))

    assert reports[-1] == (2000, 2000)
    assert reports == sorted(reports)


def test_a_database_with_rows_is_left_alone(database: sa.URL, run: Run) -> None:
    run("minimal")
    before = content(database)

    exit_code, output = run("performance", "--scale", "2")

    assert exit_code == seed.REFUSED
    assert "there are rows in users, contexts, thoughts" in output
    assert output.endswith("make seed SCENARIO=performance SCALE=2 ARGS=--append\n")
    assert content(database) == before


def test_rows_of_any_table_count(database: sa.URL, run: Run) -> None:
    engine = sa.create_engine(database, poolclass=sa.NullPool)
    audit = Base.metadata.tables["audit_log"]
    entry = {"action": "create", "entity_type": "user", "entity_id": UUID(int=1)}
    with engine.begin() as connection:
        connection.execute(sa.insert(audit), {**entry, "changes": {}})

    exit_code, output = run("minimal")

    assert exit_code == seed.REFUSED
    assert "rows in audit_log" in output


def test_appending_adds_the_same_scenario_again_and_again(database: sa.URL, run: Run) -> None:
    exit_codes = [run("minimal", "--append")[0] for _ in range(3)]

    assert exit_codes == [seed.DONE] * 3
    assert sizes(database) == {
        name: size * 3 for name, size in scenarios.counts("minimal")._asdict().items()
    }


def test_appending_works_after_users_were_deleted(database: sa.URL, run: Run) -> None:
    run("minimal")
    run("minimal", "--append")
    engine = sa.create_engine(database, poolclass=sa.NullPool)
    first = [row["id"] for row in scenarios.rows("minimal")[scenarios.USERS]]
    with engine.begin() as connection:
        connection.execute(sa.delete(scenarios.TASKS))
        connection.execute(sa.delete(scenarios.RELATIONSHIPS))
        connection.execute(sa.delete(scenarios.THOUGHTS))
        connection.execute(sa.delete(scenarios.CONTEXTS))
        connection.execute(sa.delete(scenarios.USERS).where(scenarios.USERS.c.id.in_(first)))

    exit_code, _ = run("minimal", "--append")

    assert exit_code == seed.DONE
    assert sizes(database)["users"] == 6


def test_a_failure_leaves_nothing(
    database: sa.URL, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenarios, "TaskPriority", ["whenever"])

    exit_code, output = run("multi_user")

    assert exit_code == seed.FAILED
    assert "nothing was added" in output
    assert "priority" in output
    assert output.count("\n") == 1
    assert sizes(database) == {}


def test_a_database_that_is_not_there_is_not_made(file: Path, run: Run) -> None:
    exit_code, output = run("minimal")

    assert exit_code == seed.REFUSED
    assert output.endswith("Next: scripts/migrate.sh\n")
    assert not file.exists()


def test_an_outdated_schema_is_refused(file: Path, run: Run) -> None:
    migrate.upgrade()
    migrate.downgrade("base")

    exit_code, output = run("minimal")

    assert exit_code == seed.REFUSED
    assert output.endswith("Next: scripts/migrate.sh\n")


def test_migrations_can_be_applied_first(file: Path, run: Run) -> None:
    exit_code, output = run("minimal", "--migrate")

    assert exit_code == seed.DONE
    assert "Upgraded from an empty schema" in output
    assert sizes(sa.URL.create("sqlite", database=str(file)))["users"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "no scenario 'nonsense', only minimal, basic_workflow, multi_user"),
        ([""], "no scenario '', only minimal"),
        (["minimal", "--scale", "2"], "minimal has one size"),
        (["performance", "--scale", "0"], "1 or more"),
        (["performance", "--scale", "-1"], "1 or more"),
        (["performance", "--scale", "1.5"], "1 or more"),
        (["performance", "--scale", "many"], "1 or more"),
        (["performance", "--scale", ""], "1 or more"),
    ],
)
def test_a_wrong_call_does_nothing(
    file: Path, run: Run, arguments: list[str], message: str
) -> None:
    exit_code, output = run(*arguments, "--migrate")

    assert exit_code == seed.USAGE
    assert message in output
    assert "Next: make seed" in output
    assert output.count("\n") == 1
    assert not file.exists()


def test_production_is_neither_migrated_nor_filled(
    file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")

    exit_code, output = run("minimal", "--migrate", "--append")

    assert exit_code == seed.REFUSED
    assert "this is production" in output
    assert not file.exists()


def test_a_database_that_cannot_be_reached_fails_with_a_message(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:password@127.0.0.1:1/service")

    exit_code, output = run("minimal")

    assert exit_code == seed.FAILED
    assert "127.0.0.1" in output
    assert "password" not in output


def test_unusable_settings_fail_with_a_message(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://user:password@host/service")

    exit_code, output = run("minimal")

    assert exit_code == seed.FAILED
    assert "unsupported database 'mysql'" in output
    assert "password" not in output


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.mark.parametrize(
    ("stream", "seconds", "shown"),
    [(Terminal, 2, True), (Terminal, 0, False), (io.StringIO, 2, False)],
    ids=["slow", "fast", "no terminal"],
)
def test_the_progress_bar_is_for_terminals_and_slow_work(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], seconds: int, shown: bool
) -> None:
    stderr = stream()
    monkeypatch.setattr("sys.stderr", stderr)
    bar = seed.ProgressBar()
    bar.started -= seconds

    bar(1, 4)
    bar.clear()

    output = stderr.getvalue()
    assert ("[##########" in output) is shown
    assert ("25%" in output) is shown
    assert bool(output) is shown
