"""A pytest plugin: writes the milliseconds of a test of each module, on the clock and of CPU.

A block is all tests of a module but the first and the last, which make and remove what the module
needs. The CPU of the PostgreSQL server counts too.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

TICK = os.sysconf("SC_CLK_TCK")
SERVER = os.environ.get("BENCH_SERVER", "")

taken: defaultdict[str, list[float]] = defaultdict(list)
begun: dict[Path, tuple[float, float, int]] = {}
counts: defaultdict[Path, int] = defaultdict(int)


def server_cpu() -> int:
    """Return the ticks of CPU of the server and its processes, those that ended included."""
    if not SERVER:
        return 0
    children = Path(f"/proc/{SERVER}/task/{SERVER}/children").read_text().split()
    ticks = sum(own_ticks(child)[0] for child in children)
    return ticks + sum(own_ticks(SERVER))


def own_ticks(process: str) -> tuple[int, int]:
    """Return the ticks of a process, and those of its children that ended."""
    try:
        # After the name, which may contain spaces: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0, 0
    return int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[object]:
    """Begin after the first test of a module, and end before the last."""
    if nextitem is None or nextitem.path != item.path:
        end(item)
    result = yield
    counts[item.path] += 1
    if counts[item.path] == 1:
        begun[item.path] = (time.perf_counter(), time.process_time(), server_cpu())
    return result


def end(item: pytest.Item) -> None:
    """Add what the tests of a module took."""
    wall, cpu, ticks = begun[item.path]
    tests = (counts[item.path] - 1) / 1000
    name = item.path.stem.rpartition("_")[0]
    taken[f"{name} wall"].append((time.perf_counter() - wall) / tests)
    of_server = (server_cpu() - ticks) / TICK
    taken[f"{name} cpu"].append((time.process_time() - cpu + of_server) / tests)


def pytest_sessionfinish() -> None:
    """Write them."""
    Path(os.environ["BENCH_OUTPUT"]).write_text(json.dumps(taken))
