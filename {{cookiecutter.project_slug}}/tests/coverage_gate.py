"""Lifts the coverage gate where only a part of the tests runs.

The gate of `pytest.ini` judges the whole suite. A part of it covers a part of the code, which is
no fault.
"""

from pathlib import Path

import pytest

# The options that leave tests out.
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


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Switch the gate off unless everything runs."""
    coverage = config.pluginmanager.getplugin("_cov")
    if coverage is not None and runs_a_part(config):
        coverage.options.cov_fail_under = 0


def runs_a_part(config: pytest.Config) -> bool:
    """Tell whether anything on the command line leaves tests out."""
    chosen = {Path(argument).resolve() for argument in config.args}
    everything = {(config.rootpath / path).resolve() for path in config.getini("testpaths")}
    # An option is missing where its plugin was switched off.
    selects = any(getattr(config.option, name, None) for name in SELECTIONS)
    return selects or not (everything <= chosen or config.rootpath in chosen)
