"""Which isolation a run has, where more than one conftest.py hands one to testdb.

That is so where several services lie in one repository: pytest loads the conftest.py of each before
it collects tests. All that they protect is protected, and tests run on one service's database.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .config import Isolation


@dataclass(frozen=True, eq=False)
class Handed:
    """An isolation, and the hook that returned it."""

    isolation: Isolation[Any]
    hook: Callable[..., Any]
    file: Path  # the conftest.py or plugin that has the hook

    @property
    def folder(self) -> Path | None:
        """The folder whose tests it is for; None for a plugin, which is for all of them."""
        return self.file.parent if self.file.name == "conftest.py" else None


handed_key = pytest.StashKey[Sequence[Handed]]()


def hooks(config: pytest.Config) -> dict[Callable[..., Any], tuple[Sequence[str], Path]]:
    """Return the hooks that are loaded, those loaded last first: their arguments, and files."""
    found = reversed(config.hook.pytest_testdb_isolation.get_hookimpls())
    return {
        its.function: (its.argnames, Path(getattr(its.plugin, "__file__", None) or "").resolve())
        for its in found
        # A plugin of its own answers for the run, not for a service.
        if getattr(its.plugin, "__name__", "") != f"{__package__}.plugin"
    }


def handed_over(config: pytest.Config, known: Sequence[Handed] = ()) -> list[Handed]:
    """Return what the hooks hand over besides what is known. Each is asked once."""
    asked = [its.hook for its in known]
    isolations = [its.isolation for its in known]
    found = []
    for hook, (names, file) in hooks(config).items():
        if hook not in asked:
            isolation = hook(*(config for _ in names))
            if isolation is not None and not any(isolation is its for its in isolations):
                found.append(Handed(isolation, hook, file))
    return found


def nearest(config: pytest.Config, handed: Sequence[Handed]) -> list[Handed]:
    """Return those that are for the tests that the command line names; all, if none is nearer.

    For a folder, that is the one above it, and any beneath it.
    """
    placed = [(its.folder, its) for its in handed if its.folder is not None]
    chosen: list[Handed] = []
    for argument in config.args:
        path = Path(argument.partition("::")[0]).resolve()
        above = [pair for pair in placed if path.is_relative_to(pair[0])]
        beneath = [its for folder, its in placed if folder != path and folder.is_relative_to(path)]
        deepest = max(above, key=lambda pair: len(pair[0].parts), default=None)
        chosen += [*([deepest[1]] if deepest else []), *beneath]
    isolations = {id(its.isolation): its for its in chosen or [its for _, its in placed]}
    # Of plugins, the one that was loaded last counts.
    return list(isolations.values()) or list(handed[:1])


def refuse_several(config: pytest.Config) -> None:
    """Raise `pytest.UsageError` if tests of more than one service would run on one's database."""
    services = nearest(config, config.stash[handed_key])
    if len(services) > 1 and not config.option.collectonly:
        files = " and ".join(str(its.file) for its in services)
        raise pytest.UsageError(
            f"{files} each hand an isolation to testdb, and a run has one: run each service's"
            f" tests by themselves, such as `pytest {services[0].file.parent}`"
        )


def refuse_late(config: pytest.Config) -> None:
    """Raise `pytest.UsageError` if an isolation was not there when the databases were guarded."""
    for late in handed_over(config, config.stash[handed_key]):
        raise pytest.UsageError(
            f"{late.file} hands its isolation to testdb too late: pytest found it while it"
            " collected tests. Name its folder in `testpaths` or on the command line"
        )
