"""How long the isolation took and which tests were at fault, as a table and as JSON."""

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Seconds of each step in this process, such as "postgresql reset (rows)".
timings: dict[str, list[float]] = defaultdict(list)

# What tests of this process did that only a failure of theirs tells: their ids and the verdicts.
faults: list[str] = []


class VerdictError(RuntimeError):
    """A test left something behind, or something undone. Its teardown fails with this."""


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Measure a step."""
    started = time.perf_counter()
    yield
    timings[step].append(time.perf_counter() - started)


def summary() -> dict[str, dict[str, float]]:
    """Return how often each step ran, and its median and longest time in milliseconds."""
    return {
        step: {
            "count": len(seconds),
            "median_ms": round(statistics.median(seconds) * 1000, 3),
            "worst_ms": round(max(seconds) * 1000, 3),
        }
        for step, seconds in sorted(timings.items())
    }


@pytest.hookimpl
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note the tests at fault. In a parallel run, the main process sees all reports."""
    verdict = dict(report.user_properties).get("isolation verdict")
    if report.when == "teardown" and verdict is not None:
        faults.append(f"{report.nodeid}: {verdict}")


@pytest.hookimpl
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send what a worker collected to the main process."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["isolation"] = dict(timings)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take what a worker collected; one that was killed sends nothing."""
    for step, seconds in getattr(node, "workeroutput", {}).get("isolation", {}).items():
        timings[step].extend(seconds)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, and write the JSON file if one was asked for."""
    target = terminalreporter.config.option.isolation_report
    if target is None:
        return
    steps = summary()
    terminalreporter.section("isolation")
    terminalreporter.line(f"{'step':40}{'count':>8}{'median':>12}{'worst':>12}")
    for step, figures in steps.items():
        terminalreporter.line(
            f"{step:40}{figures['count']:>8}"
            f"{figures['median_ms']:>9.2f} ms{figures['worst_ms']:>9.2f} ms"
        )
    terminalreporter.line(f"{'tests at fault':40}{len(faults):>8}")
    for fault in faults:
        terminalreporter.line(f"  {fault}")
    if target:
        text = json.dumps({"steps": steps, "faults": faults}, indent=2)
        Path(target).write_text(text + "\n")
