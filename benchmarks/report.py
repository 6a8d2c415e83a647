"""The tables: what was measured, the goal it has, and whether it is reached in each style."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.figures import Figures
from benchmarks.measures import ENGINES, MANY, REVISIONS
from benchmarks.patterns import NONE, PATTERNS, Pattern

TIMES = "\N{MULTIPLICATION SIGN}"
TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}

Row = list[str]


class NotMeasuredError(LookupError):
    """A figure is missing: the part that measures it failed."""


@dataclass(frozen=True)
class Reader:
    """Gives the medians of one style's figures."""

    figures: Figures
    style: str

    def median(self, name: str) -> float:
        """Return a median.

        Raises:
            NotMeasuredError: There is none.

        """
        found = self.figures.median(f"{self.style}: {name}")
        if found is None:
            raise NotMeasuredError(name)
        return found

    def ratio(self, name: str, other: str) -> float:
        """Return how many times as large one figure is as another.

        Of samples that were taken in turn, it is the median of each round's ratio.
        """
        self.median(name), self.median(other)
        mine, its = (self.figures.samples[f"{self.style}: {it}"] for it in (name, other))
        return statistics.median(one / two for one, two in zip(mine, its, strict=True))

    def test(self, pattern: Pattern, clock: str = "cpu") -> float:
        """Return the milliseconds of a small test on a pattern."""
        return self.median(suite(pattern, clock))

    def times_none(self, pattern: Pattern) -> float:
        """Return how many times the CPU of a test without isolation a test takes."""
        base = PATTERNS[pattern.engine, pattern.base]
        return self.ratio(suite(pattern), suite(base))

    def cost(self, pattern: Pattern, clock: str = "wall") -> float:
        """Return what a pattern adds to a test, in milliseconds."""
        base = PATTERNS[pattern.engine, pattern.base]
        return self.test(pattern, clock) - self.test(base, clock)


def suite(pattern: Pattern, clock: str = "cpu") -> str:
    """Return the name of a pattern's figure."""
    return f"{pattern.engine}, {pattern.name}, {clock}"


@dataclass(frozen=True)
class Goal:
    """What a figure should be, how to get and how to show it.

    Attributes:
        words: What it is.
        measure: Returns the figure.
        limit: The goal; None if there is none.
        unit: What follows the figure.
        digits: How many decimals are shown, and count.
        at_least: Whether the limit is the smallest that will do, instead of the largest.

    """

    words: str
    measure: Callable[[Reader], float]
    limit: float | None = None
    unit: str = TIMES
    digits: int = 2
    at_least: bool = False

    def show(self, figure: float) -> str:
        """Return a figure with its unit."""
        return f"{figure:.{self.digits}f}{self.unit}"

    def keeps(self, figure: float) -> bool:
        """Tell whether a figure, as precise as it is shown, reaches the goal."""
        shown = round(figure, self.digits)
        return self.limit is None or (shown >= self.limit if self.at_least else shown <= self.limit)

    def __str__(self) -> str:
        """Say the limit."""
        if self.limit is None:
            return ""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}{self.unit}"


MS = " ms"


def isolation() -> list[Goal]:
    """Return the goals of the fixtures that give databases."""
    sqlite, postgresql = (
        {name: pattern for (its, name), pattern in PATTERNS.items() if its == engine}
        for engine in ENGINES
    )
    ddl = postgresql["isolated_database, tests with DDL"]

    def times_none(pattern: Pattern) -> Callable[[Reader], float]:
        return lambda reader: reader.times_none(pattern)

    def cost(pattern: Pattern) -> Callable[[Reader], float]:
        return lambda reader: reader.cost(pattern)

    def cheaper(ours: Pattern, other: Pattern) -> Callable[[Reader], float]:
        # A cost below this is noise.
        least = 0.05
        return lambda reader: reader.cost(other, "cpu") / max(reader.cost(ours, "cpu"), least)

    goals = [
        Goal("SQLite: `db_session` against none", times_none(sqlite["db_session"]), 1.05),
        Goal("SQLite: `isolated_database`, its cost", cost(sqlite["isolated_database"]), 2, MS),
        Goal("PostgreSQL: `db_session` against none", times_none(postgresql["db_session"]), 1.1),
        Goal(
            "PostgreSQL: `isolated_database` against none, a test that writes",
            times_none(postgresql["isolated_database"]),
            1.2,
        ),
        Goal("PostgreSQL: the same, a test with DDL, its cost", cost(ddl), 15, MS, digits=1),
    ]
    peers = {"sqlite": "shared file, create and drop", "postgresql": "pytest-postgresql"}
    for engine, peer in peers.items():
        for name in ("db_session", "isolated_database"):
            measure = cheaper(PATTERNS[engine, name], PATTERNS[engine, peer])
            words = f"{TITLES[engine]}: `{name}` cheaper than {peer}"
            goals.append(Goal(words, measure, 20, digits=0, at_least=True))
    return goals


def states() -> list[Goal]:
    """Return the goals of states and scenarios."""
    steps = {
        "seed": "seeding 100 rows",
        "plain": "what SQLAlchemy takes for them on a plain engine",
        "driver": "what the driver alone takes for them",
        "copy": "what the driver takes with COPY",
        "encoded": "what it takes for them if they are encoded before",
        "snapshot": "snapshot of `{}`",
        "restore": "restore of `{}`",
        "reset": "reset after a test that wrote",
        "reset of nothing": "reset after a test that did not write",
        "query": "a query that reads nothing",
        "truncate": "emptying a table",
    }
    limits: dict[str, dict[str, float | None]] = {
        "sqlite": {"seed": 1, "plain": None, "driver": None, "snapshot": 1, "restore": 1},
        "postgresql": {
            "seed": 2.5,
            "plain": None,
            "driver": None,
            "copy": None,
            "snapshot": 100,
            "restore": 100,
        },
        "clickhouse": {
            "seed": 0.8,
            "encoded": None,
            "snapshot": 15,
            "restore": 15,
            "reset": 4,
            "reset of nothing": 1,
            "query": None,
            "truncate": None,
        },
    }

    def median(engine: str, step: str) -> Callable[[Reader], float]:
        return lambda reader: reader.median(f"{engine}, {step}")

    titles = TITLES | {"clickhouse": "ClickHouse"}
    goals = []
    for engine, of_engine in limits.items():
        scenario = "analytics" if engine == "clickhouse" else "performance"
        for step, limit in of_engine.items():
            words = f"{titles[engine]}: {steps[step].format(scenario)}"
            goals.append(Goal(words, median(engine, step), limit, MS))
    return goals


def starting() -> list[Goal]:
    """Return the goals of what people wait for before the first test runs."""
    goals = [
        Goal(
            "a file of unit tests, against importing pytest, SQLAlchemy and what it tests",
            lambda reader: reader.ratio("unit", "unit, imports"),
            1.3,
        ),
        Goal("the same, CPU", lambda reader: reader.median("unit"), unit=" s"),
        Goal(
            "what importing settings, models and factory_boy as well takes",
            lambda reader: reader.ratio("unit, conftest", "unit, imports"),
        ),
        Goal(
            "what pytest with its plugins takes after these imports, without conftest.py",
            lambda reader: reader.ratio("unit, pytest", "unit, imports"),
        ),
        Goal(
            "`migrate.sh` with nothing to do, against importing SQLAlchemy and Alembic",
            lambda reader: reader.ratio("migrate", "migrate, imports"),
            1.3,
        ),
        Goal("the same, CPU", lambda reader: reader.median("migrate"), unit=" s"),
        Goal(
            "what importing them and reading the settings takes",
            lambda reader: reader.ratio("migrate, settings", "migrate, imports"),
        ),
    ]

    def revisions(engine: str, run: str) -> Callable[[Reader], float]:
        name = f"{engine}, revisions, {run}"
        return lambda reader: reader.ratio(f"{name}, many", f"{name}, one")

    for engine, title in TITLES.items():
        words = f"{title}: {{}}, {REVISIONS} revisions against one"
        goals += [
            Goal(words.format("first run"), revisions(engine, "first")),
            Goal(words.format("a later run"), revisions(engine, "later"), 1.05),
        ]

    def first(*steps: str) -> Callable[[Reader], float]:
        return lambda reader: sum(reader.median(f"first {step}") for step in steps)

    seconds: dict[str, tuple[tuple[str, ...], float | None]] = {
        "rendered to first green test, caches of packages warm": (("uv", "env", "test"), 12),
        "of that, bringing uv where it is missing": (("uv",), None),
        "of that, installing the packages": (("env",), None),
        "of that, the first tests": (("test",), None),
        "before that, rendering": (("render",), None),
    }
    for words, (steps, limit) in seconds.items():
        goals.append(Goal(words, first(*steps), limit, " s", digits=1))
    return goals


def workers() -> list[Goal]:
    """Return the goals of parallel runs."""

    def speedup(engine: str, pattern: str) -> Callable[[Reader], float]:
        name = f"{engine}, {pattern}, -n"
        return lambda reader: reader.ratio(f"{name} 0", f"{name} 2")

    goals = []
    for engine, title in TITLES.items():
        words = f"{title}: `-n 2` faster than one process, {MANY:,} small tests"
        goals.append(Goal(words, speedup(engine, "db_session"), 1.6, at_least=True))
    return [
        *goals,
        Goal("SQLite: the same where nothing is isolated", speedup("sqlite", NONE)),
        Goal(
            "two processes that only compute, at once instead of in turn",
            lambda reader: reader.ratio("computing, in turn", "computing, at once"),
        ),
    ]


SECTIONS = {
    "Isolation": isolation,
    "States": states,
    "Starting": starting,
    "Workers": workers,
}


def patterns(figures: Figures, styles: list[str]) -> str:
    """Return the table of all patterns."""
    columns = [f"{style}: {unit}" for style in styles for unit in ("ms", f"{TIMES} none", "CPU ms")]
    rows = []
    for (engine, name), pattern in PATTERNS.items():
        row = [TITLES[engine], f"**{name}**" if pattern.ours else name]
        for style in styles:
            reader = Reader(figures, style)
            try:
                row += [
                    f"{reader.test(pattern, 'wall'):.2f}",
                    f"{reader.times_none(pattern):.2f}",
                    f"{reader.test(pattern):.2f}",
                ]
            except NotMeasuredError:
                row += ["-", "-", "-"]
        rows.append(row)
    return table(["on", "pattern", *columns], rows, numbers=range(2, 2 + len(columns)))


def goals(figures: Figures, styles: list[str], section: list[Goal]) -> str:
    """Return the table of some goals."""
    rows = []
    for goal in section:
        shown: dict[str, str] = {}
        kept: dict[str, bool] = {}
        for style in styles:
            try:
                figure = goal.measure(Reader(figures, style))
            except NotMeasuredError:
                shown[style] = "not measured"
            else:
                shown[style] = goal.show(figure)
                kept[style] = goal.keeps(figure)
        row = [goal.words, *shown.values(), str(goal)]
        rows.append([*row, verdict(kept) if goal.limit is not None else ""])
    header = ["measure", *styles, "goal", "kept"]
    return table(header, rows, numbers=range(1, 1 + len(styles)))


def verdict(kept: dict[str, bool]) -> str:
    """Say whether a goal is reached, in which styles."""
    if not kept:
        return "-"
    if all(kept.values()):
        return "yes"
    reached = [style for style, ok in kept.items() if ok]
    return f"**{' '.join(reached)} only**" if reached else "**no**"


def table(header: Row, rows: list[Row], *, numbers: Iterable[int]) -> str:
    """Return a Markdown table that also reads well as text; the columns of numbers are aligned."""
    numeric = set(numbers)
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = [
        "-" * (width - 1) + ":" if place in numeric else "-" * width
        for place, width in enumerate(widths)
    ]
    lines = []
    for row in (header, rule, *rows):
        cells = [
            cell.rjust(width) if place in numeric else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def full(figures: Figures, styles: list[str], machine: str) -> str:
    """Return all that `make bench` prints, and writes to docs/performance.md."""
    parts = [machine, "### A small test on each pattern", patterns(figures, styles)]
    for title, section in SECTIONS.items():
        parts += [f"### {title}", goals(figures, styles, section())]
    for part, error in figures.failed.items():
        last = error.strip().splitlines()[-1]
        parts.append(f"Not measured: {part}, because it failed: `{last}`")
    return "\n\n".join(parts)
