"""The same small tests on every pattern, in turn, in every style."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.patterns import POSTGRESQL, SQLITE, Pattern
from benchmarks.project import Project

# Style, engine and name of a pattern, to the seconds of each of its runs.
Runs = dict[tuple[str, str, str], list[float]]


@dataclass(frozen=True)
class Effort:
    """How often things are measured."""

    rounds: int
    # Patterns that take many times as long: their figures need fewer runs to stand out.
    slow_rounds: int
    # Of the many tests that workers share.
    worker_rounds: int


FULL = Effort(rounds=7, slow_rounds=1, worker_rounds=1)
QUICK = Effort(rounds=3, slow_rounds=1, worker_rounds=1)


def measure(projects: list[Project], effort: Effort) -> Iterator[tuple[str, Runs]]:
    """Yield what was done, and all runs so far, after each round."""
    for project in projects:
        for pattern in (*SQLITE, *POSTGRESQL):
            project.write(pattern.module, pattern.suite(project.style))
    yield "wrote the suites", {}
    # Not counted: the first runs compile the tests, and build what is kept between runs.
    for project in projects:
        for pattern in (*SQLITE, *POSTGRESQL):
            if not pattern.slow:
                seconds(project, pattern)
    runs: Runs = {}
    for number in range(effort.rounds):
        for pattern in (*SQLITE, *POSTGRESQL):
            if not pattern.slow or is_slow_round(number, effort):
                for project in projects:
                    key = (project.style, pattern.engine, pattern.name)
                    runs.setdefault(key, []).append(seconds(project, pattern))
        yield f"round {number + 1} of {effort.rounds}", runs


def is_slow_round(number: int, effort: Effort) -> bool:
    """Tell whether slow patterns take part in a round; these rounds are spread over all."""
    return number * effort.slow_rounds % effort.rounds < effort.slow_rounds


def seconds(project: Project, pattern: Pattern) -> float:
    """Return how long the tests take on a pattern."""
    return project.pytest(pattern.module, "--database", pattern.engine, plugin=pattern.plugin)


def medians(runs: Runs) -> dict[tuple[str, str, str], float]:
    """Return the median seconds of each pattern."""
    return {key: statistics.median(values) for key, values in runs.items()}
