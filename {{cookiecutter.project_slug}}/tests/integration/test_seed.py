"""`make seed` fills a database with a scenario: all of it, or nothing."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from migrator import Exit
from testdb.asyncio import AsyncIsolatedDatabase

from placeholder_service.models import Base, Task

from tests.fixtures import scenarios
from tests.fixtures.seed import Seed

pytestmark = pytest.mark.integration

EXPECTED = scenarios.counts("minimal")._asdict()


def sizes(url: sa.URL) -> dict[str, int]:
    """Return how many rows each table has, empty tables left out."""
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        found = {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }
    return {name: size for name, size in found.items() if size}


@pytest.mark.parametrize("scenario", scenarios.SCENARIOS)
async def test_the_rows_of_a_scenario_are_those_of_the_database(
    isolated_database: AsyncIsolatedDatabase, scenario: str
) -> None:
    await isolated_database.seed(scenario)

    expected = {row["id"]: row for row in scenarios.rows(scenario)["tasks"]}
    async with isolated_database.session() as session:
        tasks = (await session.scalars(sa.select(Task))).all()
    found = {task.id: {name: getattr(task, name) for name in expected[task.id]} for task in tasks}
    assert found == expected


def test_a_database_is_filled_once_and_more_often_on_request(
    migrated_url: sa.URL, run_seed: Seed
) -> None:
    exit_code, output = run_seed("minimal")
    assert (exit_code, sizes(migrated_url)) == (Exit.DONE, EXPECTED)
    assert "Added 3 users, 2 contexts, 5 thoughts, 3 tasks" in output

    exit_code, output = run_seed("performance", "--scale", "2")
    assert (exit_code, sizes(migrated_url)) == (Exit.REFUSED, EXPECTED)
    assert "there are rows in users, contexts, thoughts" in output
    assert output.endswith("make seed SCENARIO=performance SCALE=2 ARGS=--append\n")

    exit_codes = [run_seed("minimal", "--append")[0] for _ in range(2)]
    assert exit_codes == [Exit.DONE] * 2
    assert sizes(migrated_url)["users"] == 9


def test_migrations_can_be_applied_first(sqlite_file: Path, run_seed: Seed) -> None:
    refused, output = run_seed("minimal")
    was_created = sqlite_file.exists()

    exit_code, _ = run_seed("minimal", "--migrate")

    assert (refused, was_created) == (Exit.REFUSED, False)
    assert output.endswith("Next: scripts/migrate.sh\n")
    assert exit_code == Exit.DONE
    assert sizes(sa.URL.create("sqlite", database=str(sqlite_file))) == EXPECTED


@pytest.mark.parametrize(
    ("arguments", "setting", "expected", "message"),
    [
        ("nonsense", "ENVIRONMENT=test", Exit.USAGE, "no scenario 'nonsense', only minimal, basic"),
        ("minimal --scale 2", "ENVIRONMENT=test", Exit.USAGE, "minimal has one size"),
        ("performance --scale many", "ENVIRONMENT=test", Exit.USAGE, "a whole number, 1 or more"),
        ("minimal", "ENVIRONMENT=production", Exit.REFUSED, "this is production"),
        ("minimal", "DATABASE_URL=sqlite://", Exit.REFUSED, "an in-memory database"),
        ("minimal", "DATABASE_URL=postgresql://u:password@127.0.0.1:1/x", Exit.FAILED, "127.0.0.1"),
    ],
)
def test_what_cannot_be_done_is_explained_and_changes_nothing(
    sqlite_file: Path,
    run_seed: Seed,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    setting: str,
    expected: Exit,
    message: str,
) -> None:
    monkeypatch.setenv(*setting.split("=", 1))

    exit_code, output = run_seed(*arguments.split(), "--migrate")

    assert exit_code == expected
    assert message in output
    assert "password" not in output
    assert not sqlite_file.exists()
