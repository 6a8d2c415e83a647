"""The revisions of this project, put to migrator's ready-made tests.

They run on an empty database of each kind, with the rows of rows.py in it.
"""

import pytest
from migrator import Database
from migrator.testing import (
    Rows,
    test_every_downgrade_restores_the_schema,
    test_every_downgrade_runs_with_rows,
    test_every_revision_has_a_downgrade_or_says_why_not,
    test_rows_survive_every_revision,
    test_the_constraints_of_the_models_match_the_migrations,
    test_the_history_is_linear,
    test_the_linter_finds_nothing,
    test_the_models_match_the_migrations,
    test_there_is_one_head,
)
from sqlalchemy import URL

from placeholder_service import migrate

from tests.migrations.rows import ROWS

__all__ = [
    "test_every_downgrade_restores_the_schema",
    "test_every_downgrade_runs_with_rows",
    "test_every_revision_has_a_downgrade_or_says_why_not",
    "test_rows_survive_every_revision",
    "test_the_constraints_of_the_models_match_the_migrations",
    "test_the_history_is_linear",
    "test_the_linter_finds_nothing",
    "test_the_models_match_the_migrations",
    "test_there_is_one_head",
]

pytestmark = pytest.mark.integration


@pytest.fixture
def migrations() -> Database:
    """The migrations of the service."""
    return migrate.database()


@pytest.fixture
def empty_database(scratch_url: URL) -> URL:
    """An empty database, of each kind in turn."""
    return scratch_url


@pytest.fixture
def rows() -> Rows:
    """Rows to insert once a revision is applied."""
    return ROWS
