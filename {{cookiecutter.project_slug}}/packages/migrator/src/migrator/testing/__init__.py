"""Tests of a project's revisions, ready to import into a test module.

They use three fixtures of the project, which README.md describes: `migrations`, `empty_database`
and `rows`.
"""

import pytest

pytest.register_assert_rewrite("migrator.testing.revisions")

from migrator.testing.catalogue import count_rows, read_catalogue  # noqa: E402
from migrator.testing.revisions import (  # noqa: E402
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

__all__ = [
    "Rows",
    "count_rows",
    "read_catalogue",
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
