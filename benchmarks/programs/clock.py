"""A pytest plugin: writes the seconds before and after each test, by its module and rows."""

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

seconds: defaultdict[str, list[float]] = defaultdict(list)
running: dict[str, float] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add a test's seconds; the first of its parameters is the number of rows."""
    if report.when == "setup":
        running[report.nodeid] = report.duration
    if report.when == "teardown" and report.nodeid.endswith("]"):
        rows = report.nodeid.partition("[")[2].partition("-")[0]
        module = report.nodeid.partition(".py")[0].rpartition("/")[2]
        seconds[f"{module} {rows}"].append(running[report.nodeid] + report.duration)


def pytest_sessionfinish() -> None:
    """Write them."""
    Path(os.environ["BENCH_OUTPUT"]).write_text(json.dumps(seconds))
