"""A rendered project, installed from what it declares: it checks, tests, migrates and serves.

Each combination is rendered and installed once. Its tests run one after another in one worker;
those that change the project put it back.
"""

import contextlib
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from derivation import derive_sync
from pre_gen_project import taken

from tests.running import clean_environment, succeeded, wait_until
from tests.service.conftest import Change
from tests.service.project import BLANK, PACKAGE, TABLES, Service, combinations
from tests.service.server import served
from tests.service.sources import sources

# Tests of what a team uses and does not change, written as the project's own.
MACHINERY = Path(__file__).with_name("machinery")

# Of any two answers, each pair is in one of them.
every_project = combinations(
    "sync-sqlite",
    "async-postgresql",
    "async-sqlite-clickhouse",
    complete=["sync-postgresql-clickhouse"],
)
one_of_each_style = combinations("sync-sqlite", "async-postgresql")
the_default_project = combinations("sync-sqlite")


# Daily, test_documents.py runs those of the default project, and its whole suite.
@combinations(
    "async-sqlite-clickhouse",
    complete=["sync-sqlite", "async-postgresql", "sync-postgresql-clickhouse"],
)
def test_its_checks_pass(service: Service) -> None:
    output = succeeded(service.make("check"))

    # Such as one of a foreign key without an index.
    assert "warning:" not in output


@combinations("async-postgresql", complete=["sync-postgresql-clickhouse"])
def test_its_suite_passes_and_spares_the_development_data(service: Service) -> None:
    service.migrate()
    service.create_key()
    before = service.state()

    output = succeeded(service.make("test"))

    assert "Total coverage: 100.00%" in output
    assert service.state() == before


@combinations(complete=["sync-postgresql-clickhouse"])
def test_its_tests_with_clickhouse_pass(service: Service) -> None:
    succeeded(service.make("test", "ARGS=--no-cov -m 'not slow' tests/analytics"))


@combinations("async-postgresql", complete=["sync-sqlite"])
def test_its_machinery_stands_what_its_own_tests_do_not_try(
    service: Service, change: Change
) -> None:
    tests = sources(MACHINERY, service.style, PACKAGE)
    for name, text in tests.items():
        change(service.folder / name, text)

    succeeded(service.run("python", "-m", "pytest", "--no-cov", *tests))


# The one with the most tests, on the database that it was not rendered for.
@combinations("async-sqlite-clickhouse")
@pytest.mark.parametrize(
    "options",
    [
        pytest.param("--no-cov -m 'not slow' tests/integration tests/analytics", id="most"),
        pytest.param("", id="all", marks=pytest.mark.complete),
    ],
)
def test_its_suite_passes_in_parallel_on_the_other_database(service: Service, options: str) -> None:
    succeeded(service.make("test-postgresql", f"ARGS=-n auto {options}"))


@combinations(
    "sync-sqlite",
    "async-sqlite-clickhouse",
    complete=["async-postgresql", "sync-postgresql-clickhouse", *BLANK],
)
def test_the_examples_of_its_testing_guide_pass(service: Service) -> None:
    examples = re.findall(
        r"```python\n(.*?)```", (service.folder / "TESTING.md").read_text(), re.DOTALL
    )
    runnable = [example for example in examples if "def test_" in example]
    folder = service.folder / "tests" / "examples"
    folder.mkdir()
    for number, example in enumerate(runnable):
        (folder / f"test_example_{number}.py").write_text(example)

    try:
        output = succeeded(service.run("python", "-m", "pytest", "--no-cov", folder))
    finally:
        shutil.rmtree(folder)

    assert len(runnable) >= 3
    assert f"{sum(example.count('def test_') for example in runnable)} passed" in output


@every_project
def test_it_migrates_up_down_and_up_again_from_anywhere(service: Service, tmp_path: Path) -> None:
    up = service.folder / "scripts" / "migrate.sh"
    down = service.folder / "scripts" / "migrate-down.sh"
    linked = service.folder.parent / "migrate"
    linked.symlink_to(up)

    succeeded(service.run(linked, cwd=tmp_path))
    linked.unlink()
    first = service.objects()
    succeeded(service.run(down, "--yes", "base", cwd=tmp_path))
    emptied = service.objects()
    succeeded(service.run(up, cwd=tmp_path))

    assert first >= TABLES
    assert {name for name in emptied if "alembic_version" not in name} == set()
    assert service.objects() == first
    assert list(tmp_path.iterdir()) == []


# Daily, the test below compares them in the other projects.
@combinations(
    "sync-sqlite",
    complete=["async-postgresql", "async-sqlite-clickhouse", "sync-postgresql-clickhouse"],
)
def test_its_models_are_what_is_migrated(service: Service) -> None:
    service.migrate()

    succeeded(service.run("alembic", "check"))


@every_project
def test_a_new_revision_of_an_unchanged_schema_is_empty(service: Service, change: Change) -> None:
    service.migrate()
    versions = service.folder / "migrations" / "versions"
    before = set(versions.glob("*.py"))
    head = versions.with_name("head.txt")
    change(head, head.read_text())  # as it is after the test

    succeeded(service.run(service.folder / "scripts" / "new-migration.sh", "nothing new"))

    (revision,) = set(versions.glob("*.py")) - before
    text = revision.read_text()
    linted = service.run("ruff", "check", str(revision))
    revision.unlink()
    assert "nothing new" in text
    # Whoever completes it finds them.
    assert "import sqlalchemy as sa\nfrom alembic import op\n" in text
    assert "op." not in text
    assert linted.returncode == 0, linted.stdout


FIRST = {"content": "First.", "tags": ["served"]}


@every_project
def test_it_serves_with_one_command(service: Service, tmp_path: Path) -> None:
    service.migrate()
    key = service.create_key()

    with serve_by_make(service, tmp_path) as client:
        ready = client.get("/health/ready")
        refused = client.post("/thoughts", json={"content": "First."})
        created = client.post("/thoughts", json=FIRST, headers={"X-API-Key": key})
        read = client.get(created.headers["Location"], headers={"X-API-Key": key})
        # More than a server has threads and connections.
        with ThreadPoolExecutor(60) as threads:
            crowd = list(threads.map(lambda _: create(client, key), range(120)))
        if (service.folder / "migrations" / "analytics").exists():
            # Relayed by the service itself.
            wait_until(lambda: {"tag": "served", "thoughts": 1} in statistics(client, key))

    assert {response.status_code for response in crowd} == {201}
    assert ready.status_code == 200
    assert refused.status_code == 401
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert created.status_code == 201
    assert read.json()["content"] == "First."


def statistics(client: httpx2.Client, key: str) -> list[dict[str, object]]:
    """Return how often the caller used each tag."""
    response = client.get("/analytics/top-tags", headers={"X-API-Key": key})
    tags: list[dict[str, object]] = response.raise_for_status().json()
    return tags


def serve_by_make(
    service: Service, folder: Path
) -> contextlib.AbstractContextManager[httpx2.Client]:
    """Serve a project as its README says."""
    command = ("make", "run", "PORT=0")
    return served(command, service.folder, folder / "serve.log", clean_environment())


def create(client: httpx2.Client, key: str) -> httpx2.Response:
    """Create a thought."""
    return client.post("/thoughts", json={"content": "One."}, headers={"X-API-Key": key})


@the_default_project
def test_a_key_can_be_made_by_make(service: Service) -> None:
    service.migrate()

    output = succeeded(service.make("api-key", "EMAIL=you@example.com"))

    assert len(output.split()) == 1


@the_default_project
def test_invalid_settings_end_tests_and_alembic_with_one_message(service: Service) -> None:
    commands = (["pytest", "tests/integration/test_models.py"], ["alembic", "check"])

    ended = [service.run(*it, DATABASE_URL="mysql://me:secret@host/x") for it in commands]

    for result in ended:
        assert result.returncode == 1
        assert result.stderr.startswith("Invalid settings: DATABASE_URL: unsupported database 'my")
        assert (result.stdout, result.stderr.count("\n")) == ("", 1)


@every_project
def test_no_package_can_have_the_name_of_a_library(service: Service) -> None:
    code = "import importlib.metadata as m; print(*m.packages_distributions())"

    names = succeeded(service.run("python", "-c", code)).split()

    free = [name for name in names if name.isidentifier() and not taken(name) and name != PACKAGE]
    assert [name for name in free if name.islower() and name[0] != "_"] == []


# Of SQLite's own functions.
DIALECT = '''"""What only one of the two databases can do."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def test_a_function_of_one_database(db_session: AsyncSession) -> None:
    await db_session.execute(text("SELECT randomblob(4)"))
'''


@one_of_each_style
def test_its_tests_run_on_the_database_that_was_chosen(service: Service, change: Change) -> None:
    source = derive_sync(DIALECT) if service.style == "sync" else DIALECT
    change(service.folder / "tests" / "integration" / "test_dialect.py", source)

    chosen = service.make("test", "ARGS=--no-cov tests/integration/test_dialect.py")
    on_sqlite = service.make("test-sqlite", "ARGS=--no-cov tests/integration/test_dialect.py")

    assert (chosen.returncode == 0) == (service.database == "sqlite"), chosen.stdout
    assert ("randomblob" in chosen.stdout) == (service.database == "postgresql")
    succeeded(on_sqlite)


# All tests in one process, as most people run them. Daily, the tests of testdb show the gate.
@pytest.mark.complete
@the_default_project
def test_untested_code_fails_a_suite_that_passes_but_no_part_of_it(
    service: Service, change: Change
) -> None:
    service.migrate()
    service.create_key()
    before = service.state()
    lines = "".join(f"    x = {number}\n" for number in range(500))
    change(
        service.folder / "src" / PACKAGE / "untested.py",
        f'"""Untested."""\n\n\ndef untested() -> None:\n    """Do nothing."""\n{lines}',
    )

    whole = service.make("test")
    part = service.run("pytest", "tests/unit")

    assert whole.returncode != 0
    assert " passed" in whole.stdout.splitlines()[-1]
    assert "failed" not in whole.stdout.splitlines()[-1]
    assert "Required test coverage of 95% not reached" in whole.stdout + whole.stderr
    # All other code is covered.
    assert re.findall(r"^src/(\S+)", whole.stdout, re.MULTILINE) == [f"{PACKAGE}/untested.py"]
    assert service.state() == before
    assert part.returncode == 0, part.stdout
