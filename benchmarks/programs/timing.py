"""For tests that time their own steps."""

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPEATS = range(int(os.environ["BENCH_REPEATS"]))

seconds: defaultdict[str, list[float]] = defaultdict(list)


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Add the time that a step takes."""
    start = time.perf_counter()
    yield
    seconds[step].append(time.perf_counter() - start)


def write(**found: list[int]) -> None:
    """Write the seconds of every step, and other figures."""
    Path(os.environ["BENCH_OUTPUT"]).write_text(json.dumps({**found, **seconds}))
