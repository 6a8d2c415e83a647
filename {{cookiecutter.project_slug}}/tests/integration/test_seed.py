"""`make seed` fills a database with a scenario: all of it, or nothing."""

import io
import json
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from placeholder_service.models import Base

from scripts import seed
from tests.fixtures import scenarios
from tests.fixtures.databases import Seed

pytestmark = pytest.mark.integration

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
    """Return what a scenario gives of the rows of each table it fills, written out."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    given = {
        table: [table.c[name] for name in rows[0]]
        for table, rows in scenarios.rows("minimal").items()
    }
    with engine.connect() as connection:
        return {
            table.name: {
                json.dumps(dict(row), default=str, sort_keys=True)
                for row in connection.execute(sa.select(*columns)).mappings()
            }
            for table, columns in given.items()
        }


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_a_scenario_is_written_as_it_was_made(
    migrated_url: sa.URL, run_seed: Seed, scenario: str
) -> None:
    exit_code, output = run_seed(scenario)

    assert exit_code == seed.DONE
    assert sizes(migrated_url) == scenarios.counts(scenario)._asdict()
    assert content(migrated_url) == {
        table.name: {json.dumps(row, default=str, sort_keys=True) for row in rows}
        for table, rows in scenarios.rows(scenario).items()
    }
    assert f"Added {scenarios.counts(scenario).users} users, " in output


def test_a_scale_factor_multiplies_every_count(migrated_url: sa.URL, run_seed: Seed) -> None:
    exit_code, _ = run_seed("performance", "--scale", "2")

    assert exit_code == seed.DONE
    assert sizes(migrated_url) == scenarios.counts("performance", 2)._asdict()


def test_the_caller_can_still_roll_back(migrated_url: sa.URL) -> None:
    engine = sa.create_engine(migrated_url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        scenarios.load(connection, "minimal")
        connection.rollback()

    assert sizes(migrated_url) == {}


def test_progress_ends_with_all_rows(migrated_url: sa.URL) -> None:
    reports: list[tuple[int, int]] = []
    engine = sa.create_engine(migrated_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        scenarios.load(connection, "performance", progress=lambda *seen: reports.append(seen))

    assert reports[-1] == (2000, 2000)
    assert reports == sorted(reports)


def test_a_database_with_rows_is_left_alone(migrated_url: sa.URL, run_seed: Seed) -> None:
    run_seed("minimal")
    before = content(migrated_url)

    exit_code, output = run_seed("performance", "--scale", "2")

    assert exit_code == seed.REFUSED
    assert "there are rows in users, contexts, thoughts" in output
    assert output.endswith("make seed SCENARIO=performance SCALE=2 ARGS=--append\n")
    assert content(migrated_url) == before


def test_rows_of_any_table_count(migrated_url: sa.URL, run_seed: Seed) -> None:
    engine = sa.create_engine(migrated_url, poolclass=sa.NullPool)
    audit = Base.metadata.tables["audit_log"]
    entry = {"action": "create", "entity_type": "user", "entity_id": UUID(int=1)}
    with engine.begin() as connection:
        connection.execute(sa.insert(audit), {**entry, "changes": {}})

    exit_code, output = run_seed("minimal")

    assert exit_code == seed.REFUSED
    assert "rows in audit_log" in output


def test_appending_adds_the_same_scenario_again_and_again(
    migrated_url: sa.URL, run_seed: Seed
) -> None:
    exit_codes = [run_seed("minimal", "--append")[0] for _ in range(3)]

    assert exit_codes == [seed.DONE] * 3
    assert sizes(migrated_url) == {
        name: size * 3 for name, size in scenarios.counts("minimal")._asdict().items()
    }


def test_appending_works_after_users_were_deleted(migrated_url: sa.URL, run_seed: Seed) -> None:
    run_seed("minimal")
    run_seed("minimal", "--append")
    engine = sa.create_engine(migrated_url, poolclass=sa.NullPool)
    first = [row["id"] for row in scenarios.rows("minimal")[scenarios.USERS]]
    with engine.begin() as connection:
        connection.execute(sa.delete(scenarios.TASKS))
        connection.execute(sa.delete(scenarios.RELATIONSHIPS))
        connection.execute(sa.delete(scenarios.THOUGHTS))
        connection.execute(sa.delete(scenarios.CONTEXTS))
        connection.execute(sa.delete(scenarios.USERS).where(scenarios.USERS.c.id.in_(first)))

    exit_code, _ = run_seed("minimal", "--append")

    assert exit_code == seed.DONE
    assert sizes(migrated_url)["users"] == 6


def test_a_failure_leaves_nothing(
    migrated_url: sa.URL, run_seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenarios, "TaskPriority", ["whenever"])

    exit_code, output = run_seed("multi_user")

    assert exit_code == seed.FAILED
    assert "nothing was added" in output
    assert "priority" in output
    assert output.count("\n") == 1
    assert sizes(migrated_url) == {}


def test_a_database_that_is_not_there_is_not_made(file: Path, run_seed: Seed) -> None:
    exit_code, output = run_seed("minimal")

    assert exit_code == seed.REFUSED
    assert output.endswith("Next: scripts/migrate.sh\n")
    assert not file.exists()


def test_an_outdated_schema_is_refused(file: Path, run_seed: Seed) -> None:
    # An empty file is an empty database.
    file.touch()

    exit_code, output = run_seed("minimal")

    assert exit_code == seed.REFUSED
    assert output.endswith("Next: scripts/migrate.sh\n")


def test_migrations_can_be_applied_first(file: Path, run_seed: Seed) -> None:
    exit_code, output = run_seed("minimal", "--migrate")

    assert exit_code == seed.DONE
    assert "Upgraded the database from an empty schema" in output
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
    file: Path, run_seed: Seed, arguments: list[str], message: str
) -> None:
    exit_code, output = run_seed(*arguments, "--migrate")

    assert exit_code == seed.USAGE
    assert message in output
    assert "Next: make seed" in output
    assert output.count("\n") == 1
    assert not file.exists()


def test_production_is_neither_migrated_nor_filled(
    file: Path, run_seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")

    exit_code, output = run_seed("minimal", "--migrate", "--append")

    assert exit_code == seed.REFUSED
    assert "this is production" in output
    assert not file.exists()


def test_a_database_that_cannot_be_reached_fails_with_a_message(
    run_seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:password@127.0.0.1:1/service")

    exit_code, output = run_seed("minimal")

    assert exit_code == seed.FAILED
    assert "127.0.0.1" in output
    assert "password" not in output


def test_unusable_settings_fail_with_a_message(
    run_seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://user:password@host/service")

    exit_code, output = run_seed("minimal")

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
