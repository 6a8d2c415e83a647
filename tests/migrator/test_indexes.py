"""Warnings about models: foreign keys that no index begins with."""

import os
import subprocess
import sys

import pytest
import sqlalchemy as sa
from migrator.indexes import warnings


def child(*items: sa.schema.SchemaItem, is_key: bool = False) -> sa.MetaData:
    """Return two tables, of which one refers to the other."""
    metadata = sa.MetaData()
    sa.Table("parent", metadata, sa.Column("id", sa.Integer, primary_key=True))
    key: sa.Column[int] = sa.Column("parent_id", sa.ForeignKey("parent.id"), primary_key=is_key)
    sa.Table("child", metadata, key, sa.Column("name", sa.Text), *items)
    return metadata


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param(child(), id="none"),
        pytest.param(child(sa.Index("i", "name", "parent_id")), id="begins with another column"),
        pytest.param(
            child(sa.Index("i", "parent_id", postgresql_where=sa.text("name = 'x'"))),
            id="some of the rows",
        ),
    ],
)
def test_a_foreign_key_without_an_index_is_named(metadata: sa.MetaData) -> None:
    [warning] = warnings(metadata)

    assert warning.startswith("warning: child.parent_id: a foreign key without an index")
    assert "add index=True" in warning


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param(child(sa.Index("i", "parent_id", "name")), id="index"),
        pytest.param(child(sa.UniqueConstraint("parent_id", "name")), id="unique constraint"),
        pytest.param(child(is_key=True), id="primary key"),
    ],
)
def test_an_index_that_begins_with_it_is_enough(metadata: sa.MetaData) -> None:
    assert list(warnings(metadata)) == []


class Models:
    """What a project calls Base."""

    metadata = child()


def test_the_command_prints_the_warnings() -> None:
    models = "tests.migrator.test_indexes:Models"

    result = subprocess.run(
        [sys.executable, "-m", "migrator.indexes", models],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert result.stdout.startswith("warning: child.parent_id: ")
