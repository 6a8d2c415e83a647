"""How long the isolation took, for `--isolation-report`: a table, and JSON for a machine."""

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

# Seconds of each step, such as "postgresql reset (rows)".
Timings = dict[str, list[float]]


class Resettable(Protocol):
    """A database that can be put back."""

    def reset(self) -> str:
        """Put it back, and say what was needed for it."""


class Recorder:
    """Collects the timings of one process."""

    def __init__(self) -> None:
        """Start with none."""
        self.timings: Timings = defaultdict(list)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Measure a step."""
        started = time.perf_counter()
        yield
        self.timings[step].append(time.perf_counter() - started)

    def timed_reset(self, storage: Resettable) -> None:
        """Reset a database, and note what was needed for it with the time it took."""
        started = time.perf_counter()
        needed = storage.reset()
        self.timings[f"postgresql reset ({needed})"].append(time.perf_counter() - started)

    def merge(self, timings: Timings) -> None:
        """Add what another process collected."""
        for step, seconds in timings.items():
            self.timings[step].extend(seconds)

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


recorder_key = pytest.StashKey[Recorder]()


def recorder_of(config: pytest.Config) -> Recorder:
    """Return the recorder of this process."""
    return config.stash.setdefault(recorder_key, Recorder())


@pytest.hookimpl
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send what a worker collected to the main process."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["isolation"] = dict(recorder_of(session.config).timings)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take what a worker collected; one that was killed sends nothing."""
    output = getattr(node, "workeroutput", {})
    config: pytest.Config = getattr(node, "config")  # noqa: B009  # the node is xdist's, untyped
    recorder_of(config).merge(output.get("isolation", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, and write the JSON file if one was asked for."""
    config = terminalreporter.config
    target = config.option.isolation_report
    if target is None:
        return
    summary = recorder_of(config).summary()
    terminalreporter.section("isolation")
    terminalreporter.line(f"{'step':40}{'count':>8}{'median':>12}{'worst':>12}")
    for step, figures in summary.items():
        terminalreporter.line(
            f"{step:40}{figures['count']:>8}"
            f"{figures['median_ms']:>9.2f} ms{figures['worst_ms']:>9.2f} ms"
        )
    if target:
        Path(target).write_text(json.dumps(summary, indent=2) + "\n")
