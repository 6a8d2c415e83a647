"""What `require_values` says of rows that lack a value, and of those that it cannot look at."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from testdb.factories import require_values

metadata = sa.MetaData()
sa.Table("users", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Text))
sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
)


def make_rows(_: str) -> dict[str, list[dict[str, object]]]:
    """Return the rows of a scenario that has none of users, and one task without a title."""
    return {"users": [], "tasks": [{"id": 1}]}


def test_rows_in_a_file_of_another_folder_are_named(tmp_path: Path) -> None:
    config: Any = SimpleNamespace(rootpath=tmp_path)

    with pytest.raises(pytest.UsageError) as refusal:
        require_values(config, [], make_rows, metadata)

    assert f"tasks.title: add it to the rows in {__file__}" in str(refusal.value)


def test_rows_in_a_file_of_the_project_are_named_shortly() -> None:
    config: Any = SimpleNamespace(rootpath=Path(__file__).parent)

    with pytest.raises(pytest.UsageError, match=r"rows in test_factories\.py"):
        require_values(config, [], make_rows, metadata)
