"""Hands tests to workers, and runs programs for them."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests import running


class ScopeScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives all tests of one rendered project to one worker, which renders and installs it once.

    That is what xdist's own `--dist loadgroup` is for. With pytest 9.2 it has no effect: it writes
    the groups to where pytest no longer reads a test's name.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Return what a test goes by when tests are handed out: its project, or its name."""
        if nodeid.startswith("tests/service/"):
            return nodeid.partition("[")[2] or nodeid
        return nodeid


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ScopeScheduling:
    """Hand tests to workers by project."""
    return ScopeScheduling(config, log)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Return the variables that a user's shell would have."""
    return running.clean_environment()


@pytest.fixture(scope="session")
def run() -> running.Run:
    """Return a function that runs a program to its end and captures what it prints."""
    return running.run
