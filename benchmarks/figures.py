"""What was measured: seconds and other numbers by name, kept in a file after every part."""

import json
import statistics
from pathlib import Path


class Figures:
    """The samples of every figure, such as `sync: sqlite, db_session`, and the parts that are done.

    A run that ends early leaves them in its file, and a later one goes on from there.
    """

    def __init__(self, file: Path) -> None:
        """Begin with what the file has, if it is there."""
        self.file = file
        found = json.loads(file.read_text()) if file.exists() else {}
        self.samples: dict[str, list[float]] = found.get("samples", {})
        self.done: list[str] = found.get("done", [])
        self.software: dict[str, str] = {}
        # The parts that failed, each with its error. They are measured again.
        self.failed: dict[str, str] = {}

    def add(self, name: str, samples: list[float]) -> None:
        """Keep the samples of a figure, in place of older ones."""
        self.samples[name] = samples

    def median(self, name: str) -> float | None:
        """Return the median of a figure; None if it was not measured."""
        return statistics.median(self.samples[name]) if self.samples.get(name) else None

    def finish(self, part: str) -> None:
        """Note that a part is complete, and write all figures."""
        self.done = [*dict.fromkeys([*self.done, part])]
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(json.dumps({"samples": self.samples, "done": self.done}, indent=1))
