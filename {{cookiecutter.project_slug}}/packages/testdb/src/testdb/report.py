"""How long isolation took and which tests were at fault, as a table and as JSON."""

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .verdicts import VerdictError

# Whether a test has failed so far.
failed_key = pytest.StashKey[bool]()


class IsolationReport:
    """What isolation took in this run; a pytest plugin."""

    def __init__(self) -> None:
        self.timings: dict[str, list[float]] = defaultdict(list)  # seconds, by step
        self.faults: list[str] = []  # the tests that got a verdict, with it

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Measure a step."""
        started = time.perf_counter()
        yield
        self.add(step, started)

    def add(self, step: str, started: float) -> None:
        """Note a step that began at a time of `perf_counter` and has ended now."""
        self.timings[step].append(time.perf_counter() - started)

    def summary(self) -> dict[str, dict[str, float]]:
        """Return how often each step ran, and its median and longest time in milliseconds."""
        return {
            step: {
                "count": len(seconds),
                "median_ms": round(statistics.median(seconds) * 1000, 3),
                "worst_ms": round(max(seconds) * 1000, 3),
            }
            for step, seconds in sorted(self.timings.items())
        }

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note a failure, and a verdict where the main process of a parallel run finds it."""
        report = yield
        item.stash[failed_key] = item.stash.get(failed_key, False) or report.failed
        if call.excinfo is not None and isinstance(call.excinfo.value, VerdictError):
            report.user_properties.append(("isolation verdict", str(call.excinfo.value)))
        return report

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the tests at fault. In a parallel run, the main process sees all reports."""
        verdict = dict(report.user_properties).get("isolation verdict")
        if report.when == "teardown" and verdict is not None:
            self.faults.append(f"{report.nodeid}: {verdict}")

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send what a worker collected to the main process."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["isolation"] = dict(self.timings)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Take what a worker collected; one that was killed sends nothing."""
        for step, seconds in getattr(node, "workeroutput", {}).get("isolation", {}).items():
            self.timings[step].extend(seconds)

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: "pytest.TerminalReporter") -> None:
        """Print the table, and write the JSON file if one was asked for."""
        target = terminalreporter.config.option.testdb_isolation_report
        if target is None:
            return
        steps = self.summary()
        terminalreporter.section("isolation")
        terminalreporter.line(f"{'step':40}{'count':>8}{'median':>12}{'worst':>12}")
        for step, figures in steps.items():
            terminalreporter.line(
                f"{step:40}{figures['count']:>8}"
                f"{figures['median_ms']:>9.2f} ms{figures['worst_ms']:>9.2f} ms"
            )
        terminalreporter.line(f"{'tests at fault':40}{len(self.faults):>8}")
        for fault in self.faults:
            terminalreporter.line(f"  {fault}")
        if target:
            text = json.dumps({"steps": steps, "faults": self.faults}, indent=2)
            Path(target).write_text(text + "\n")


def refuse_other_file(name: str | None) -> None:
    """Make sure that a report overwrites nothing but a report.

    An option that may have a value takes the next word of the command line, such as a test's.

    Raises:
        UsageError: The name is that of another file or of a folder, or its folder is missing.
    """
    file = Path((name or "").partition("::")[0])
    if not name or (file.absolute().parent.is_dir() and (not file.exists() or is_report(file))):
        return
    raise pytest.UsageError(
        f"--isolation-report {name} is not a report or a new file: write --isolation-report=FILE,"
        " or --isolation-report as the last word of the command line"
    )


def is_report(file: Path) -> bool:
    """Tell whether a file has a report, or is none that anything can be lost in, as a terminal."""
    if not file.is_file():
        return not file.is_dir()
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.keys() == {"steps", "faults"}
