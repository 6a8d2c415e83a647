"""Lifts the coverage gate where only a part of the tests runs.

`--cov-fail-under` and the reports of `addopts` apply to a full run: a part of the tests covers a
part of the code. A report that the command line asks for is made.
"""

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


def lift_gate(config: pytest.Config) -> None:
    """Switch the gate and the reports off unless everything runs."""
    coverage = config.pluginmanager.getplugin("_cov")
    if coverage is not None and runs_a_part(config):
        coverage.options.cov_fail_under = 0
        asked = (argument.startswith("--cov") for argument in config.invocation_params.args)
        if not any(asked):
            coverage.options.cov_report = {}


def runs_a_part(config: pytest.Config) -> bool:
    """Tell whether anything on the command line leaves tests out."""
    chosen = {Path(argument).resolve() for argument in config.args}
    everything = {(config.rootpath / path).resolve() for path in config.getini("testpaths")}
    selects = any(getattr(config.option, name, None) for name in SELECTIONS)
    return selects or not (everything <= chosen or config.rootpath in chosen)
