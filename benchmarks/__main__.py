"""Measure everything, print the tables, and write docs/performance.md with its plot."""

import argparse
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import measures, plot, report, suites
from benchmarks.figures import Figures
from benchmarks.project import Project, projects
from tests.running import TEMPLATE

PAGE = TEMPLATE / "docs/performance.md"
PLOT = TEMPLATE / "docs/isolation-cost.svg"
KEPT = TEMPLATE / ".bench/figures.json"
BEGIN, END = "<!-- make bench writes from here -->\n", "<!-- to here -->\n"
STYLES = ["sync", "async"]


@dataclass(frozen=True)
class Effort:
    """How often things are measured: most of them, and those that take long."""

    rounds: int
    few_rounds: int


FULL = Effort(rounds=7, few_rounds=2)
QUICK = Effort(rounds=2, few_rounds=1)

Part = Callable[[Project, Figures, int], None]

# What is measured in each style. The last two add packages to the environment, which pytest loads.
PARTS: dict[str, Part] = {
    "starting": measures.measure_starts,
    "states": measures.measure_states,
    "revisions": measures.measure_revisions,
    "workers": measures.measure_workers,
    "patterns": suites.measure_suites,
    "ClickHouse": measures.measure_clickhouse,
}
LONG = ("workers",)


def describe_machine(figures: Figures, load: float) -> str:
    """Say what was measured on, in general words."""
    software = ", ".join(f"{name} {version}" for name, version in figures.software.items())
    return f"{os.cpu_count()} cores, {software}; load average at the start: {load:.1f}."


def main() -> int:
    """Run the benchmark; the result is 1 if a part failed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few rounds, one style, no plot; writes nothing"
    )
    parser.add_argument(
        "--resume", action="store_true", help="leave out what the last run has measured"
    )
    arguments = parser.parse_args()
    effort = QUICK if arguments.quick else FULL
    styles = STYLES[:1] if arguments.quick else STYLES
    if not arguments.resume:
        KEPT.unlink(missing_ok=True)
    figures = Figures(KEPT)
    load = os.getloadavg()[0]
    # So that a run that is stopped removes its services and its server as well.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    print(f"load average {load:.1f}; rendering", file=sys.stderr, flush=True)
    with projects(styles, figures) as rendered:
        for name, measure in PARTS.items():
            rounds = effort.few_rounds if name in LONG else effort.rounds
            for project in rendered:
                with part(figures, f"{name}, {project.style}") as is_wanted:
                    if is_wanted:
                        measure(project, figures, rounds)
        with part(figures, "plot") as is_wanted:
            if is_wanted and not arguments.quick:
                plot.draw(measures.measure_growth(rendered[0], effort.rounds), PLOT)
    medians = f"Medians of {effort.rounds} rounds; of workers, of {effort.few_rounds}."
    text = report.full(figures, styles, f"{describe_machine(figures, load)} {medians}")
    if not arguments.quick:
        write(text)
    print(text)
    if not figures.failed:
        shutil.rmtree(KEPT.parent)
    return 1 if figures.failed else 0


@contextmanager
def part(figures: Figures, name: str) -> Iterator[bool]:
    """Say what is measured, unless it was; a part that fails leaves the others their figures."""
    started = time.monotonic()
    is_wanted = name not in figures.done
    try:
        yield is_wanted
    except Exception:  # noqa: BLE001  # shown at once and in the page, and the run fails
        figures.failed[name] = traceback.format_exc()
        print(f"{name} FAILED:\n{figures.failed[name]}", file=sys.stderr, flush=True)
    else:
        figures.finish(name)
        if is_wanted:
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def write(text: str) -> None:
    """Put the tables into the page, between the marks."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
