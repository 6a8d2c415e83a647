"""What the small tests do not show: starting, states, many revisions, workers, growth."""

import itertools
import os
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figures
from benchmarks.patterns import GROWING, NONE, PATTERNS, PRELUDE
from benchmarks.project import PROGRAMS, Project, in_style, spending, with_clickhouse

ENGINES = ("sqlite", "postgresql")
REVISIONS = 200
MANY = 1000
# How many more repeats there are of what takes little time.
MORE = 3
# What is measured for 100 rows.
OF_ROWS = {"seed", "plain", "driver", "copy", "encoded"}
COMPUTING = "sum(number * number for number in range(20_000_000))"

UNIT_TESTS = "tests/unit/test_schemas.py"
UNIT_IMPORTS = "pytest, sqlalchemy, my_service.schemas.thoughts"
# What conftest.py cannot do without: it guards what the settings name, and has factories of rows.
CONFTEST_IMPORTS = "my_service.settings, my_service.models, factory"
# Without testdb and the conftest.py, and with the plugins that the project's tests need.
PLAIN_PYTEST = f"""
import sys
unused = ("anyio", "faker", "hypothesispytest", "schemathesis")
options = ["-c", {os.devnull!r}, "--rootdir=.", "--noconftest", *(f"-pno:{{it}}" for it in unused)]
sys.exit(pytest.main([*options, {UNIT_TESTS!r}]))
"""
# What a process runs whose start is measured, and the least that would do.
STARTS = {
    "unit": ("python", "-m", "pytest", UNIT_TESTS),
    "unit, imports": ("python", "-c", f"import {UNIT_IMPORTS}"),
    "unit, conftest": ("python", "-c", f"import {UNIT_IMPORTS}, {CONFTEST_IMPORTS}"),
    "unit, pytest": ("python", "-c", f"import {UNIT_IMPORTS}, {CONFTEST_IMPORTS}{PLAIN_PYTEST}"),
    "migrate": ("scripts/migrate.sh",),
    "migrate, imports": ("python", "-c", "import sqlalchemy, alembic"),
    "migrate, settings": (
        *("python", "-c"),
        "import sqlalchemy, alembic, my_service.settings as it; it.read_settings()",
    ),
}

START = """
async def test_start(db_session):
    assert await db_session.scalar(text("SELECT count(*) FROM users")) == 0
"""

REVISION = '''"""One of many."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.{upgrade}


def downgrade() -> None:
    op.{downgrade}
'''

# In turn, so that many revisions lead to no larger schema than a few: a copy of it takes no longer.
STEPS = ('create_index("ix_bench", "users", ["name"])', 'drop_index("ix_bench", "users")')

MORE_TABLES = """

import sqlalchemy as sa

for number in range({tables}):
    sa.Table(
        f"extra_{{number}}",
        Base.metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.Uuid, sa.ForeignKey("users.id", ondelete="CASCADE")),
        sa.Column("note", sa.String(200)),
    )
"""

REVISION_WITH_TABLES = '''"""Many tables."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for number in range({tables}):
        op.create_table(
            f"extra_{{number}}",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("user_id", sa.Uuid, sa.ForeignKey("users.id", ondelete="CASCADE")),
            sa.Column("note", sa.String(200)),
        )


def downgrade() -> None:
    for number in range({tables}):
        op.drop_table(f"extra_{{number}}")
'''

# What a test itself does is not counted, only what comes before and after it. A connection is
# opened before.
GROWTH = """
@pytest.fixture
async def ready(session):
    await session.connection()
    return session


@pytest.mark.parametrize("number", range({repeats}))
@pytest.mark.parametrize("rows", {rows})
async def test_rows(number, rows, ready):
    people = [{{"email": f"{{n}}@example.com", "name": "Someone"}} for n in range(rows)]
    await ready.execute(insert(User), people)
    await ready.commit()
    assert await ready.scalar(select(func.count()).select_from(User)) == rows
"""

# The plugin that measures what comes before and after a test.
PLUGIN = "clock"


def measure_starts(project: Project, figures: Figures, rounds: int) -> None:
    """Note the CPU of a file of unit tests and of a migration with nothing to do, from cold."""
    commands: dict[str, Sequence[str | Path]] = {
        name: [project.python if word == "python" else word for word in command]
        for name, command in STARTS.items()
    }
    take_turns(project, figures, commands, rounds)


def take_turns(
    project: Project,
    figures: Figures,
    commands: dict[str, Sequence[str | Path]],
    rounds: int,
) -> None:
    """Run each command in each round, and note its seconds of CPU. The first run does not count."""
    samples: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            spent = project.run(*command)
            if number:
                samples[name].append(spent.cpu)
    for name, found in samples.items():
        figures.add(f"{project.style}: {name}", found)


def measure_states(project: Project, figures: Figures, rounds: int) -> None:
    """Note what it takes to fill a database at `performance` scale, keep it and go back."""
    project.variables["BENCH_REPEATS"] = str(MORE * rounds)
    project.add("timing")
    project.add("test_states")
    for engine in ENGINES:
        found = project.measured(["test_states"], "--database", engine)
        note_states(project, figures, engine, found)


def note_states(
    project: Project, figures: Figures, engine: str, found: dict[str, list[float]]
) -> None:
    """Note milliseconds; those of seeding are for 100 rows. The first of each does not count.

    What the driver alone takes is saved only by sending other statements, and what the server takes
    only by sending other rows. COPY is PostgreSQL's fastest way, and not an INSERT:
    rules, views and identity columns behave in another way.
    """
    rows = statistics.median(found.pop("rows"))
    for step, [_, *seconds] in found.items():
        unit = 1000 / rows * 100 if step in OF_ROWS else 1000
        figures.add(f"{project.style}: {engine}, {step}", [it * unit for it in seconds])


def measure_clickhouse(project: Project, figures: Figures, rounds: int) -> None:
    """Note what it takes to fill ClickHouse with the `analytics` scenario, and to go back."""
    service = with_clickhouse(project)
    service.variables["BENCH_REPEATS"] = str(MORE * rounds)
    service.add("timing")
    service.add("test_clickhouse")
    note_states(project, figures, "clickhouse", service.measured(["test_clickhouse"]))


def measure_revisions(project: Project, figures: Figures, rounds: int) -> None:
    """Note the CPU of a run with one revision, and with many: of the first run, and of a later."""
    one, many = project.copy("one-revision"), project.copy("many-revisions")
    versions = many.path / "migrations/versions"
    names = ["0001", *(f"bench{number}" for number in range(REVISIONS - 1))]
    for number, (before, revision) in enumerate(itertools.pairwise(names)):
        up, down = STEPS[number % 2], STEPS[1 - number % 2]
        source = REVISION.format(revision=revision, before=before, upgrade=up, downgrade=down)
        (versions / f"{revision}.py").write_text(source)
    for copy in (one, many):
        copy.write("test_start", in_style(copy.style, PRELUDE + START))
    for engine in ENGINES:
        runs: dict[str, list[float]] = {}
        for number in range(rounds + 2):
            for name, copy in (("one", one), ("many", many)):
                # The first run compiles Python; the one after it builds the template.
                fresh = ["--recreate-template"] if number == 1 else []
                spent = copy.test(["test_start"], "--database", engine, *fresh)
                if number:
                    runs.setdefault(f"{'first' if fresh else 'later'}, {name}", []).append(
                        spent.cpu
                    )
        for name, seconds in runs.items():
            figures.add(f"{project.style}: {engine}, revisions, {name}", seconds)


def measure_workers(project: Project, figures: Figures, rounds: int) -> None:
    """Note how long one process takes for many tests, and how long two take, on the clock.

    Where two cores share what computes, two processes are less than twice as fast as one, whatever
    they do: what only computes tells how much.
    """
    for engine in ENGINES:
        compared = [PATTERNS[engine, "db_session"]]
        if engine == "sqlite":
            # In memory, so that each worker has one. On a server, they would disturb each other.
            compared.append(PATTERNS[engine, NONE])
        for pattern in compared:
            project.write("test_many", pattern.suite(project.style, MANY))
            runs: dict[str, list[float]] = {"0": [], "2": []}
            for _ in range(rounds):
                for workers, seconds in runs.items():
                    options = ("--database", engine, "-n", workers)
                    seconds.append(project.test(["test_many"], *options).wall)
            for workers, seconds in runs.items():
                name = f"{project.style}: {engine}, {pattern.name}, -n {workers}"
                figures.add(name, seconds)
    command = (project.python, "-c", COMPUTING)
    in_turn, at_once = [], []
    for _ in range(MORE * rounds):
        with spending() as spent:
            for _ in range(2):
                subprocess.run(command, check=True)
        in_turn.append(spent[0].wall)
        with spending() as spent:
            both = [subprocess.Popen(command) for _ in range(2)]
            for process in both:
                process.wait()
        at_once.append(spent[0].wall)
    figures.add(f"{project.style}: computing, in turn", in_turn)
    figures.add(f"{project.style}: computing, at once", at_once)


@dataclass(frozen=True)
class Point:
    """What one pattern adds to a test, in seconds, with so many tables and rows."""

    engine: str
    pattern: str
    tables: int
    rows: int
    seconds: float


def measure_growth(project: Project, repeats: int) -> list[Point]:
    """Return the cost per test with more and more tables, and with more and more rows."""
    own = 8
    points = []
    for tables in (own, 50, 200):
        copy = project.copy(f"tables-{tables}")
        init = copy.path / "src/my_service/models/__init__.py"
        init.write_text(init.read_text() + MORE_TABLES.format(tables=tables - own))
        source = REVISION_WITH_TABLES.format(tables=tables - own)
        (copy.path / "migrations/versions/0002_more_tables.py").write_text(source)
        copy.install(PROGRAMS / f"{PLUGIN}.py")
        copy.prepare(f"tables_{tables}")
        rows = [1, 10, 100, 1000, 10000] if tables == own else [10]
        for engine in ENGINES:
            patterns = {it.module: it for it in GROWING if it.engine == engine}
            for module, pattern in patterns.items():
                tests = GROWTH.format(repeats=repeats, rows=rows)
                copy.write(module, pattern.source(project.style, tests))
            found = copy.measured(patterns, "--database", engine, "-p", PLUGIN)
            points += [
                Point(engine, patterns[module].name, tables, int(count), statistics.median(seconds))
                for place, seconds in found.items()
                for module, count in [place.split()]
            ]
    return points
