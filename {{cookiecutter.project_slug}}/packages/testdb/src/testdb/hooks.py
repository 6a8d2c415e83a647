"""The hook by which a project's conftest.py hands its isolation to testdb."""

from typing import Any

import pytest

from .config import Isolation


@pytest.hookspec(firstresult=True)
def pytest_testdb_isolation(config: pytest.Config) -> Isolation[Any] | None:
    """Return how to make test databases, and which databases are out of bounds.

    Without an implementation, testdb does nothing. The conftest.py has to be one that pytest loads
    before it collects: in the project's root, or in a folder of `testpaths`.
    """
