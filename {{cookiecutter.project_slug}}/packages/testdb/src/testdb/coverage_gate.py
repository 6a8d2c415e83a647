"""Leaves coverage out where only a part of the tests runs.

`--cov`, `--cov-fail-under` and the reports of `addopts` apply to a full run: a part of the tests
covers a part of the code. What the command line asks for is measured and reported.
"""

from argparse import Namespace
from collections.abc import Sequence
from glob import glob
from pathlib import Path

import pytest

# The options that leave tests out. One is missing where its plugin is switched off.
SELECTIONS = (
    "keyword",
    "markexpr",
    "deselect",
    "ignore",
    "ignore_glob",
    "lf",
    "stepwise",
    "collectonly",
)


def leave_out_coverage(early_config: pytest.Config, names: Sequence[str]) -> None:
    """Do not start it, nor import it, for a part of the tests, unless the command line asks for it.

    To be called before pytest-cov begins, which is before any conftest.py is loaded. `names` are
    the files and folders that the command line chooses.
    """
    options, start = early_config.known_args_namespace, early_config.invocation_params.dir
    given = [(start / name.partition("::")[0]).resolve() for name in names]
    # As pytest does without arguments.
    if not given and start != early_config.rootpath:
        given = [start]
    if runs_a_part(early_config, options, given) and not asks_for_coverage(early_config):
        options.no_cov = True


def lift_gate(config: pytest.Config) -> None:
    """Switch the gate off unless everything runs."""
    coverage = config.pluginmanager.getplugin("_cov")
    chosen = [Path(argument).resolve() for argument in config.args]
    if coverage is not None and runs_a_part(config, config.option, chosen):
        coverage.options.cov_fail_under = 0


def asks_for_coverage(config: pytest.Config) -> bool:
    """Tell whether the command line does, and not `addopts` alone."""
    return any(argument.startswith("--cov") for argument in config.invocation_params.args)


def runs_a_part(config: pytest.Config, options: Namespace, chosen: Sequence[Path]) -> bool:
    """Tell whether options leave tests out, or the chosen files and folders; none are all."""
    selects = any(getattr(options, name, None) for name in SELECTIONS)
    is_everything = not chosen or all(
        any(folder.resolve().is_relative_to(path) for path in chosen)
        for folder in folders_of_tests(config)
    )
    return selects or not is_everything


def folders_of_tests(config: pytest.Config) -> list[Path]:
    """Return what `testpaths` names, as pytest reads it: patterns, and nothing that is missing."""
    root = config.rootpath
    # Path.glob takes no absolute path, and no ".".
    found = (
        glob(pattern, root_dir=root, recursive=True)  # noqa: PTH207
        for pattern in config.getini("testpaths")
    )
    return [root / name for names in found for name in sorted(names)]
