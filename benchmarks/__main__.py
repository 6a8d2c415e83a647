"""Measure everything, print the tables, and write docs/performance.md with its plot."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from benchmarks import measures, plot, report, suites
from benchmarks.project import TEMPLATE, project_with_clickhouse, projects

PAGE = TEMPLATE / "docs/performance.md"
PLOT = TEMPLATE / "docs/isolation-cost.svg"
BEGIN, END = "<!-- make bench writes from here -->\n", "<!-- to here -->\n"
STYLES = ["sync", "async"]


def describe_machine(versions: dict[str, str]) -> str:
    """Say what was measured on, in general words."""
    software = ", ".join(f"{name} {version}" for name, version in versions.items())
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, {software}; load average at the start: {load:.1f}."


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few rounds, one style, no plot; writes nothing",
    )
    quick = parser.parse_args().quick
    effort = suites.QUICK if quick else suites.FULL
    started = time.monotonic()
    # So that a run that is stopped removes its services and its server as well.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))

    def tell(text: str) -> None:
        """Say how far it is."""
        print(f"{time.monotonic() - started:4.0f} s  {text}", file=sys.stderr, flush=True)

    tell(f"load average {os.getloadavg()[0]:.1f}; rendering")
    with projects(STYLES[:1] if quick else STYLES) as (rendered, versions):
        results = report.Results(
            styles=[project.style for project in rendered],
            rounds=f"{effort.rounds} interleaved runs ({effort.slow_rounds} of the slow patterns)",
            machine=describe_machine(versions),
        )
        for step, runs in suites.measure(rendered, effort):
            tell(step)
            results.seconds = suites.medians(runs)
        for project in rendered:
            for engine in measures.ENGINES:
                states = measures.measure_states(project, engine, effort.rounds)
                results.states[project.style, engine] = states
            tell(f"states, {project.style}")
            results.workers |= measures.measure_workers(project, effort.worker_rounds)
            tell(f"workers, {project.style}")
            results.starts |= measures.measure_starts(project, effort.rounds)
            tell(f"starts, {project.style}")
        for style in results.styles:
            with project_with_clickhouse(style) as project:
                clickhouse = measures.measure_clickhouse(project, effort.rounds)
                results.clickhouse[style] = clickhouse
            tell(f"ClickHouse, {style}")
        text = report.full(results)
        if not quick:
            points = measures.measure_growth(rendered[0], effort.rounds)
            plot.draw(points, PLOT)
            write(PAGE, text)
            tell("plot")
    print(text)


def write(page: Path, text: str) -> None:
    """Put the tables into the page, between the marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n\n{END}{after}")


if __name__ == "__main__":
    main()
