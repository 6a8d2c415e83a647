"""The revisions of this project, put to migrator's ready-made tests.

They run on an empty database of each kind, with the rows of rows.py in it.
"""

import pytest
from migrator import Database
from migrator.testing import *  # noqa: F403  # the tests
from migrator.testing import Rows

from placeholder_service import migrate

from tests.migrations.rows import ROWS

pytestmark = pytest.mark.integration


@pytest.fixture
def migrations() -> Database:
    """The migrations of the service."""
    return migrate.database()


@pytest.fixture
def rows() -> Rows:
    """Rows to insert once a revision is applied."""
    return ROWS
