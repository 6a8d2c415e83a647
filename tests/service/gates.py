"""The gates of a rendered project: runs them on a sabotaged tree, and judges what they say.

A sabotage holds if the tree has changed, its gate is red and says why, and no other gate is red.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from tests.running import Result, run, succeeded
from tests.service.project import Service, mypy_cache
from tests.service.sabotages import Change, Sabotage

# A test that failed, or could not be set up or imported, in pytest's summary.
FAILED = re.compile(r"^(?:FAILED|ERROR) ([\w/]+\.py(?:::\w+)*)", re.MULTILINE)
TOO_LITTLE_COVERED = "Required test coverage of"
# Tests of revisions run on both databases, and say the same of each.
ON_ONE_DATABASE = ("--no-cov", "-k", "not postgresql_database")
GIT = ("git", "-c", "user.name=Ann", "-c", "user.email=ann@example.com")


class SabotageError(Exception):
    """A sabotage cannot be done: its text is not in the project, or changes nothing."""


@dataclass(frozen=True)
class Gates:
    """The gates of an installed project, whose files are committed."""

    service: Service

    def prepare(self) -> None:
        """Bring the project's environment, and commit all files, as the last release."""
        self.service.bring_environment()
        for command in (("add", "--all"), ("commit", "--quiet", "--message", "All")):
            succeeded(run(*GIT, *command, cwd=self.service.folder))

    @cached_property
    def steps(self) -> list[str]:
        """The commands of `make check`, in the project's environment."""
        lines = succeeded(self.service.make("--dry-run", "check")).splitlines()
        return [line for line in lines if line.startswith(".venv/bin/")]

    def step(self, gate: str) -> str | None:
        """Return the command of a gate; None if it is one of `make test`.

        Raises:
            SabotageError: There is no such gate.

        """
        if gate in ("coverage", "start") or gate.startswith("tests/"):
            return None
        found = [step for step in self.steps if gate in step]
        if len(found) != 1:
            raise SabotageError(f"{gate} names {len(found)} steps of `make check`, not one")
        return found[0]

    def red(self, gate: str) -> dict[str, str]:
        """Run one gate, and return what is red with its output."""
        if step := self.step(gate):
            return self.red_steps(step)
        if gate.startswith("tests/"):
            return self.red_tests(*ON_ONE_DATABASE, gate)
        if gate == "start":
            return self.red_tests(*ON_ONE_DATABASE, "tests/integration/test_health_api.py")
        return self.red_tests()

    def all_red(self) -> dict[str, str]:
        """Run all gates, and return those that are red with their output.

        What is covered is of interest only where that gate was meant: it runs all tests as well.
        """
        return self.red_steps(*self.steps) | self.red_tests(*ON_ONE_DATABASE)

    def red_steps(self, *steps: str) -> dict[str, str]:
        """Run steps of `make check`, and return those that fail with their output."""
        red = {}
        for step in steps:
            result = self.run("sh", "-c", step)
            if result.returncode:
                red[step] = result.stdout + result.stderr
        return red

    def red_tests(self, *arguments: str) -> dict[str, str]:
        """Run tests, and return those that fail, each with all that was printed."""
        result = self.run(".venv/bin/pytest", *arguments)
        output = result.stdout + result.stderr
        red = dict.fromkeys(FAILED.findall(output), output)
        if TOO_LITTLE_COVERED in output and "not reached" in output:
            red["coverage"] = output
        if result.returncode and not red:
            red["start"] = output
        return red

    def run(self, *command: str) -> Result:
        """Run a command in the project."""
        with mypy_cache(" ".join(command)) as variables:
            return run(*command, cwd=self.service.folder, **variables)

    def judge(self, sabotage: Sabotage, *, alone: bool = False) -> list[str]:
        """Do a sabotage, and return what is wrong with the gates, which should be nothing.

        Args:
            sabotage: What to do; it is undone at the end.
            alone: Whether all other gates have to run, and to be green.

        Raises:
            SabotageError: It cannot be done, or changes nothing.

        """
        with self.sabotaged(sabotage):
            red = self.all_red() if alone else {}
            if not alone or sabotage.gate == "coverage":
                red |= self.red(sabotage.gate)
        return self.find_faults(sabotage, red, alone=alone)

    def find_faults(self, sabotage: Sabotage, red: dict[str, str], *, alone: bool) -> list[str]:
        """Return what is wrong with what was red, each with the output of the gates."""
        gate = self.step(sabotage.gate) or sabotage.gate
        also = [self.step(name) or name for name in sabotage.also] if alone else []
        own = [output for name, output in red.items() if is_below(name, gate)]
        faults = [] if own else [f"the gate is green: {gate}"]
        faults += [
            f"{gate} does not say {word!r}:\n{own[0]}"
            for word in sabotage.words
            if own and word not in own[0]
        ]
        faults += [
            f"another gate is red: {name}\n{output}"
            for name, output in red.items()
            if alone and not any(is_below(name, allowed) for allowed in (gate, *also))
        ]
        faults += [
            f"the other gate is green: {name}"
            for name in also
            if not any(is_below(it, name) for it in red)
        ]
        return faults

    @contextmanager
    def sabotaged(self, sabotage: Sabotage) -> Iterator[None]:
        """Change the project, and put it back."""
        try:
            for change in sabotage.changes:
                self.apply(change)
            if not self.run("git", "status", "--porcelain").stdout:
                raise SabotageError(f"{sabotage.name} changes nothing")
            yield
        finally:
            succeeded(self.run("git", "checkout", "--quiet", "--", "."))
            succeeded(self.run("git", "clean", "-fdq"))

    def apply(self, change: Change) -> None:
        """Change a file.

        Raises:
            SabotageError: The file, or the text in it, is not there, or is not there once.

        """
        path = self.service.folder / change.file
        if change.new is None:
            path.unlink()
        elif change.old:
            text = path.read_text()
            if text.count(change.old) != 1:
                raise SabotageError(
                    f"{change.file} has {change.old!r} {text.count(change.old)} times, not once"
                )
            path.write_text(text.replace(change.old, change.new))
        elif path.exists():
            raise SabotageError(f"{change.file} is there already")
        else:
            path.write_text(change.new)


def is_below(name: str, gate: str) -> bool:
    """Return whether something red is a gate, or is a test in a file that is one."""
    return name == gate or name.startswith(f"{gate}::")
