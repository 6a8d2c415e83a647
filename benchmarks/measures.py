"""What the small tests do not show: states and scenarios, many revisions, workers, growth."""

import itertools
import shutil
import statistics
from dataclasses import dataclass

from benchmarks.patterns import GROWING, POSTGRESQL, PRELUDE, SQLITE, Pattern
from benchmarks.project import PROGRAMS, Project, in_style

ENGINES = ("sqlite", "postgresql")
REVISIONS = 200
MANY = 1000

# By style and engine, or style and kind of tests: the seconds of two things to compare.
Pairs = dict[tuple[str, str], tuple[float, float]]

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
PLUGIN = "bench_clock"


REQUESTS = """
@pytest.mark.parametrize("number", range({tests}))
async def test_request(number, api_client, api_headers):
    for count in range(1, 4):
        thought = {{"content": f"Thought {{count}}"}}
        created = await api_client.post("/thoughts", json=thought, headers=api_headers)
        assert created.status_code == 201
        listed = await api_client.get("/thoughts", headers=api_headers)
        assert listed.json()["total"] == count
"""


@dataclass(frozen=True)
class Workload:
    """Many tests of one kind, for one process and for two."""

    title: str
    pattern: Pattern
    tests: str = ""

    def source(self, style: str) -> str:
        """Return the tests."""
        if self.tests:
            return self.pattern.source(style, self.tests)
        return self.pattern.suite(style, MANY)


WORKLOADS = {
    "sqlite": Workload(f"SQLite: {MANY:,} small tests", SQLITE[5]),
    "postgresql": Workload(f"PostgreSQL: {MANY:,} small tests", POSTGRESQL[4]),
    "requests": Workload(
        f"SQLite: {MANY:,} tests with six requests each", SQLITE[5], REQUESTS.format(tests=MANY)
    ),
}


@dataclass(frozen=True)
class States:
    """Seconds of one engine and style; `seed` is for 100 rows."""

    seed: float
    snapshot: float
    restore: float


def measure_states(project: Project, engine: str, repeats: int) -> States:
    """Return what it takes to fill a database at `performance` scale, keep it and go back."""
    project.add("timing")
    project.add("test_states")
    found = project.measured("test_states", "--database", engine, repeats=repeats)
    middle = {step: statistics.median(found[step]) for step in ("seed", "snapshot", "restore")}
    return States(middle["seed"] / found["rows"][0] * 100, middle["snapshot"], middle["restore"])


@dataclass(frozen=True)
class ClickhouseStates:
    """Seconds of ClickHouse; `seed` is for 100 rows, `reset` for a test that wrote something."""

    seed: float
    snapshot: float
    restore: float
    reset: float


def measure_clickhouse(project: Project, repeats: int) -> ClickhouseStates:
    """Return what it takes to fill ClickHouse with the `analytics` scenario, and to go back."""
    project.add("timing")
    project.add("test_clickhouse")
    found = project.measured("test_clickhouse", repeats=repeats)
    middle = {step: statistics.median(values) for step, values in found.items()}
    return ClickhouseStates(
        seed=middle["seed"] / middle["rows"] * 100,
        snapshot=middle["snapshot"],
        restore=middle["restore"],
        reset=middle["reset"],
    )


def measure_starts(project: Project, rounds: int) -> Pairs:
    """Return how long a second run takes with one revision, and with many."""
    one, many = project.copy("one-revision"), project.copy("many-revisions")
    versions = many.path / "migrations/versions"
    names = ["0001", *(f"bench{number}" for number in range(REVISIONS - 1))]
    for number, (before, revision) in enumerate(itertools.pairwise(names)):
        up, down = STEPS[number % 2], STEPS[1 - number % 2]
        source = REVISION.format(revision=revision, before=before, upgrade=up, downgrade=down)
        (versions / f"{revision}.py").write_text(source)
    for copy in (one, many):
        copy.write("test_start", in_style(copy.style, PRELUDE + START))
    figures: Pairs = {}
    for engine in ENGINES:
        runs: dict[str, list[float]] = {one.path.name: [], many.path.name: []}
        for number in range(rounds + 1):
            for copy in (one, many):
                seconds = copy.wall_clock("test_start", "--database", engine)
                # The first run builds the template; the second one finds it.
                if number:
                    runs[copy.path.name].append(seconds)
        middle = {name: statistics.median(values) for name, values in runs.items()}
        figures[project.style, engine] = (middle[one.path.name], middle[many.path.name])
    return figures


def measure_workers(project: Project, rounds: int) -> Pairs:
    """Return how long one process takes for many tests, and how long two take."""
    figures: Pairs = {}
    for kind, workload in WORKLOADS.items():
        project.write("test_many", workload.source(project.style))
        runs: dict[str, list[float]] = {"0": [], "2": []}
        for _ in range(rounds):
            for workers, seconds in runs.items():
                arguments = ("--database", workload.pattern.engine, "-n", workers)
                seconds.append(project.pytest("test_many", *arguments))
        figures[project.style, kind] = (statistics.median(runs["0"]), statistics.median(runs["2"]))
    return figures


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
    for tables in (own, 25, 50, 100, 200):
        copy = project.copy(f"tables-{tables}")
        init = copy.path / "src/my_service/models/__init__.py"
        init.write_text(init.read_text() + MORE_TABLES.format(tables=tables - own))
        source = REVISION_WITH_TABLES.format(tables=tables - own)
        (copy.path / "migrations/versions/0002_more_tables.py").write_text(source)
        shutil.copy(PROGRAMS / f"{PLUGIN}.py", copy.path)
        copy.prepare(f"tables_{tables}")
        rows = [1, 10, 100, 1000, 10000] if tables == own else [10]
        for (engine, name), pattern in GROWING.items():
            found = grown(copy, pattern, GROWTH.format(repeats=repeats, rows=rows))
            points += [
                Point(engine, name, tables, int(count), statistics.median(seconds))
                for count, seconds in found.items()
            ]
    return points


def grown(project: Project, pattern: Pattern, tests: str) -> dict[str, list[float]]:
    """Return the seconds before and after each test, by the rows that it writes."""
    project.write(pattern.module, pattern.source(project.style, tests))
    arguments = ("--database", pattern.engine, "-p", PLUGIN)
    return project.measured(pattern.module, *arguments)
