"""The plot of what a test costs with more tables and rows."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.measures import Point
from benchmarks.report import TITLES

COLOURS = {
    "db_session": "#1b7837",
    "isolated_database": "#2166ac",
    "delete all": "#b35806",
    "truncate": "#b35806",
    "create and drop": "#762a83",
}
# Our own lines are solid.
DASHED = {"delete all", "truncate", "create and drop"}
FEWEST_TABLES = 8


def draw(points: list[Point], target: Path) -> None:
    """Write the plot; the same points make the same file."""
    settings: dict[Any, str] = {
        "svg.hashsalt": "isolation",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(9, 6.5), layout="constrained")
        axes = figure.subplots(2, 2, sharey="row", sharex="col")
        for line, (engine, title) in enumerate(TITLES.items()):
            some_rows = min(point.rows for point in points if point.tables > FEWEST_TABLES)
            of_engine = [point for point in points if point.engine == engine]
            by_tables = [point for point in of_engine if point.rows == some_rows]
            by_rows = [point for point in of_engine if point.tables == FEWEST_TABLES]
            for column, (chosen, along, words) in enumerate(
                (
                    (by_tables, "tables", f"tables; the test writes {some_rows} rows"),
                    (by_rows, "rows", f"rows that the test writes; {FEWEST_TABLES} tables"),
                )
            ):
                panel = axes[line, column]
                for name in dict.fromkeys(point.pattern for point in chosen):
                    places = [point for point in chosen if point.pattern == name]
                    panel.plot(
                        [getattr(point, along) for point in places],
                        [round(point.seconds * 1000, 3) for point in places],
                        label=name,
                        color=COLOURS[name],
                        linestyle="--" if name in DASHED else "-",
                        marker="o",
                        markersize=3,
                    )
                panel.set_xscale("log")
                panel.set_yscale("log")
                panel.grid(visible=True, linewidth=0.4, color="#cccccc")
                if line:
                    panel.set_xlabel(words)
                if not column:
                    panel.set_ylabel(f"{title}: ms a test")
                    panel.legend(fontsize="small")
        figure.savefig(target, metadata={"Date": None, "Creator": None})
    # A line feed at the end, and no space before one.
    lines = target.read_text().splitlines()
    target.write_text("".join(f"{line.rstrip()}\n" for line in lines))
