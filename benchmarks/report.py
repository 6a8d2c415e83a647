"""The tables: what was measured, the budget it has, and whether it keeps to it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from benchmarks.measures import REVISIONS, WORKLOADS, ClickhouseStates, Pairs, States
from benchmarks.patterns import POSTGRESQL, SQLITE, TESTS, Pattern

TIMES = "\N{MULTIPLICATION SIGN}"
TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
PATTERNS = {(pattern.engine, pattern.name): pattern for pattern in (*SQLITE, *POSTGRESQL)}

# Pytest rounds the time of a run to this many seconds. A cost below it is not seen.
RESOLUTION = 0.01
LEAST_COST = RESOLUTION / TESTS * 1000

Row = list[str]


@dataclass
class Results:
    """Everything that was measured, by session style."""

    styles: list[str]
    rounds: str
    machine: str
    # By style, engine and pattern.
    seconds: dict[tuple[str, str, str], float] = field(default_factory=dict)
    states: dict[tuple[str, str], States] = field(default_factory=dict)
    clickhouse: dict[str, ClickhouseStates] = field(default_factory=dict)
    starts: Pairs = field(default_factory=dict)
    # By style and kind of tests.
    workers: Pairs = field(default_factory=dict)

    def ratio(self, style: str, pattern: Pattern) -> float:
        """Return how many times as long a suite takes as without isolation."""
        name = (style, pattern.engine, pattern.base)
        return self.seconds[style, pattern.engine, pattern.name] / self.seconds[name]

    def cost(self, style: str, pattern: Pattern) -> float:
        """Return what a pattern adds to one test, in milliseconds."""
        base = self.seconds[style, pattern.engine, pattern.base]
        return (self.seconds[style, pattern.engine, pattern.name] - base) / TESTS * 1000


@dataclass(frozen=True)
class Budget:
    """A limit for a figure, and how to show both."""

    limit: float
    unit: str = TIMES
    digits: int = 2
    at_least: bool = False

    def show(self, figure: float) -> str:
        """Return a figure with its unit."""
        return f"{figure:.{self.digits}f}{self.unit}"

    def keeps(self, figure: float) -> bool:
        """Tell whether a figure, as precise as it is shown, is within the limit."""
        shown = round(figure, self.digits)
        return shown >= self.limit if self.at_least else shown <= self.limit

    def __str__(self) -> str:
        """Say the limit."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}{self.unit}"


SUITE_BUDGETS = {
    ("sqlite", "db_session"): Budget(1.1),
    ("sqlite", "isolated_database"): Budget(2, " ms"),
    ("postgresql", "db_session"): Budget(1.15),
    ("postgresql", "isolated_database"): Budget(1.25),
}
FASTER = Budget(20, digits=1, at_least=True)
# What ours is compared with, on each engine.
SLOWER = {"sqlite": "shared file, create and drop", "postgresql": "pytest-postgresql"}

SEED = {"sqlite": Budget(1, " ms"), "postgresql": Budget(3, " ms")}
STATE = {"sqlite": Budget(1, " ms"), "postgresql": Budget(100, " ms", digits=1)}
CLICKHOUSE = {
    "seed": ("seeding 100 rows", Budget(1, " ms")),
    "snapshot": ("snapshot of `analytics`", Budget(15, " ms", digits=1)),
    "restore": ("restore of `analytics`", Budget(15, " ms", digits=1)),
    "reset": ("reset after a test that wrote", Budget(5, " ms", digits=1)),
}
START = Budget(1.05)
WORKERS = Budget(1.7, at_least=True)

# What was measured, its budget, the figure for each style, and the seconds behind each, if any.
Measure = tuple[str, Budget, list[float], list[str]]


def suites(results: Results) -> str:
    """Return the table of all patterns."""
    columns = [
        f"{style}: {unit}" for style in results.styles for unit in ("s", f"{TIMES} none", "ms")
    ]
    rows = []
    for (engine, name), pattern in PATTERNS.items():
        row = [TITLES[engine], f"**{name}**" if pattern.ours else name]
        for style in results.styles:
            row.append(f"{results.seconds[style, engine, name]:.2f}")
            if pattern.name == pattern.base:
                row += ["1", ""]
            else:
                row.append(f"{results.ratio(style, pattern):.2f}")
                row.append(f"{results.cost(style, pattern):.2f}")
        budget = SUITE_BUDGETS.get((engine, name))
        if budget is None:
            row += ["", ""]
        else:
            figure = results.ratio if budget.unit == TIMES else results.cost
            kept = [budget.keeps(figure(style, pattern)) for style in results.styles]
            row += [str(budget), verdict(results.styles, kept)]
        rows.append(row)
    return table(["on", "pattern", *columns, "budget", "kept"], rows, numbers=len(columns))


def comparisons(results: Results) -> str:
    """Return the table of everything else that has a budget."""
    rows = []
    for measures in (faster, states, clickhouse, starts, workers):
        for words, budget, figures, seconds in measures(results):
            kept = [budget.keeps(figure) for figure in figures]
            shown = [
                budget.show(figure) + behind
                for figure, behind in zip(figures, seconds or [""] * len(figures), strict=True)
            ]
            rows.append([words, *shown, str(budget), verdict(results.styles, kept)])
    header = ["measure", *results.styles, "budget", "kept"]
    return table(header, rows, numbers=len(results.styles))


def faster(results: Results) -> Iterator[Measure]:
    """Yield how many times faster than a common pattern ours is: whole suites, and its cost."""
    for engine, slower in SLOWER.items():
        other = PATTERNS[engine, slower]
        for name in ("db_session", "isolated_database"):
            ours = PATTERNS[engine, name]
            words = f"{TITLES[engine]}: `{name}` faster than {slower}"
            suites = [
                results.ratio(style, other) / results.ratio(style, ours) for style in results.styles
            ]
            costs = [
                results.cost(style, other) / max(results.cost(style, ours), LEAST_COST)
                for style in results.styles
            ]
            yield f"{words}, whole suite", FASTER, suites, []
            yield f"{words}, cost of isolation", FASTER, costs, []


def states(results: Results) -> Iterator[Measure]:
    """Yield what it takes to fill a database, keep its state and go back."""
    for engine, title in TITLES.items():
        of_engine = [results.states[style, engine] for style in results.styles]
        seeds = [state.seed * 1000 for state in of_engine]
        yield f"{title}: seeding 100 rows", SEED[engine], seeds, []
        snapshots = [state.snapshot * 1000 for state in of_engine]
        yield f"{title}: snapshot of `performance`", STATE[engine], snapshots, []
        restores = [state.restore * 1000 for state in of_engine]
        yield f"{title}: restore of `performance`", STATE[engine], restores, []


def clickhouse(results: Results) -> Iterator[Measure]:
    """Yield what it takes to fill ClickHouse, keep its state and go back."""
    for step, (words, budget) in CLICKHOUSE.items():
        figures = [getattr(results.clickhouse[style], step) * 1000 for style in results.styles]
        yield f"ClickHouse: {words}", budget, figures, []


def starts(results: Results) -> Iterator[Measure]:
    """Yield what many revisions cost a second run."""
    for engine, title in TITLES.items():
        pairs = [results.starts[style, engine] for style in results.styles]
        figures = [many / one for one, many in pairs]
        words = f"{title}: second run, {REVISIONS} revisions against one"
        yield words, START, figures, [in_seconds(many, one) for one, many in pairs]


def workers(results: Results) -> Iterator[Measure]:
    """Yield what a second process gains."""
    for kind, tests in WORKLOADS.items():
        pairs = [results.workers[style, kind] for style in results.styles]
        figures = [one / two for one, two in pairs]
        words = f"{tests.title}: `-n 2` faster than one process"
        yield words, WORKERS, figures, [in_seconds(two, one) for one, two in pairs]


def in_seconds(ours: float, other: float) -> str:
    """Say which seconds a ratio comes from."""
    return f" ({ours:.2f} s, against {other:.2f} s)"


def verdict(styles: Iterable[str], kept: list[bool]) -> str:
    """Say whether a budget is kept, in which styles."""
    if all(kept):
        return "yes"
    if not any(kept):
        return "**no**"
    return "**" + " ".join(style for style, ok in zip(styles, kept, strict=True) if ok) + " only**"


def table(header: Row, rows: list[Row], *, numbers: int) -> str:
    """Return a Markdown table that also reads well as text; numbers end with the third last."""
    last = len(header) - 2
    numeric = range(last - numbers, last)
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


def full(results: Results) -> str:
    """Return all that `make bench` prints, and writes to docs/performance.md."""
    return "\n\n".join(
        [
            results.machine,
            f"{TESTS} small tests on each pattern; medians of {results.rounds}:",
            suites(results),
            "Everything else that has a budget:",
            comparisons(results),
        ]
    )
