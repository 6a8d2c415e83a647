"""Compares what isolation costs a test suite: the same tests with it and without.

    make bench

Renders a service in each session style, gives it two hundred small tests, and runs them in turn:
on `db_session`, and on plain sessions of one shared, migrated database in memory. Prints the
medians of the interleaved runs and their ratio.
"""

import re
import statistics
import subprocess
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).parent.parent
TESTS = 200
ROUNDS = 11

SUITE = '''
"""Two hundred small tests."""

import itertools

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from my_service.models import User

numbers = itertools.count()


@pytest.fixture(scope="session")
def shared_engine(raw_connection, database_image, engine):
    raw_connection.deserialize(database_image)
    return engine


@pytest.fixture
{a}def plain_session(shared_engine):
    {a}with AsyncSession(shared_engine, expire_on_commit=False) as session:
        yield session


@pytest.mark.parametrize("number", range({tests}))
{a}def test_small(number, {fixture}):
    session = {fixture}
    session.add(User(email=f"{{next(numbers)}}@example.com", name="Someone"))
    {w}session.commit()
    assert {w}session.scalar(select(func.count()).select_from(User)) > 0
'''


def suite(style: str, fixture: str) -> str:
    """Return the tests, on one of the fixtures, in one of the styles."""
    a, w = ("async ", "await ") if style == "async" else ("", "")
    source = SUITE.format(a=a, w=w, tests=TESTS, fixture=fixture)
    if style == "async":
        return source
    return (
        source.replace("from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession", "")
        .replace("from my_service", "from sqlalchemy.orm import Session\nfrom my_service", 1)
        .replace("AsyncSession", "Session")
    )


def seconds(project: Path, fixture: str) -> float:
    """Return how long the tests on a fixture take, by pytest's own count, without its imports."""
    command = [".venv/bin/pytest", "-p", "no:randomly", "--no-cov"]
    report = subprocess.run(
        [*command, f"tests/integration/test_{fixture}.py"],
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    passed = re.search(rf"{TESTS} passed in ([\d.]+)s", report)
    if passed is None:
        raise RuntimeError(f"not all tests passed:\n{report}")
    return float(passed[1])


def measure(style: str, folder: Path) -> tuple[float, float]:
    """Return the medians, in seconds, with isolation and without."""
    project = Path(
        cookiecutter(
            str(TEMPLATE),
            no_input=True,
            extra_context={"session_style": style},
            output_dir=str(folder / style),
        )
    )
    subprocess.run(["make", "env"], cwd=project, check=True, stdout=subprocess.DEVNULL)
    for fixture in ("db_session", "plain_session"):
        path = project / f"tests/integration/test_{fixture}.py"
        path.write_text(suite(style, fixture))
        seconds(project, fixture)
    with_isolation, without = [], []
    for _ in range(ROUNDS):
        with_isolation.append(seconds(project, "db_session"))
        without.append(seconds(project, "plain_session"))
    return statistics.median(with_isolation), statistics.median(without)


def main() -> None:
    """Print the table."""
    print(f"{TESTS} tests, medians of {ROUNDS} interleaved runs, SQLite in memory")
    print(f"{'style':8}{'isolated':>12}{'plain':>12}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for style in ("sync", "async"):
            isolated, plain = measure(style, Path(folder))
            print(f"{style:8}{isolated:>10.2f} s{plain:>10.2f} s{isolated / plain:>8.2f}")


if __name__ == "__main__":
    main()
