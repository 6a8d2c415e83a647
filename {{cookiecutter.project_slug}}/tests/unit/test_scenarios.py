"""Scenarios have exactly the rows that they promise, and the same ones every time (C6)."""

from uuid import UUID

import pytest
import sqlalchemy as sa

from placeholder_service.models import Base

from tests.fixtures import scenarios
from tests.fixtures.scenarios import ScenarioError, rows

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("scenario", "scale", "sizes"),
    [
        ("minimal", 1, (3, 2, 5, 1, 3)),
        ("basic_workflow", 1, (10, 15, 50, 10, 20)),
        ("multi_user", 1, (25, 40, 150, 30, 75)),
        ("performance", 1, (100, 200, 1000, 200, 500)),
        ("performance", 2, (200, 400, 2000, 400, 1000)),
        ("analytics", 1, (50, 50, 100, 20, 50)),
    ],
)
def test_sizes_are_exact(scenario: str, scale: int, sizes: tuple[int, ...]) -> None:
    made = rows(scenario, scale)

    assert tuple(made) == scenarios.Counts._fields
    assert tuple(len(of_table) for of_table in made.values()) == sizes


def test_the_same_seed_makes_the_same_rows_and_another_seed_others() -> None:
    made, again, other = rows("minimal"), rows("minimal"), rows("minimal", seed=2)

    assert made == again
    assert made["users"][0]["id"] == UUID("e134307a-e8a7-448a-a00d-ca3603f923db")
    for column in ("id", "email"):
        assert not {row[column] for row in made["users"]} & {row[column] for row in other["users"]}


def test_rows_belong_to_the_user_of_their_parents_and_are_younger() -> None:
    made = rows("multi_user")
    parents = {row["id"]: row for of_table in made.values() for row in of_table}

    pairs = [
        (row, parents[row[key.parent.name]])
        for name, of_table in made.items()
        for key in Base.metadata.tables[name].foreign_keys
        for row in of_table
        if row[key.parent.name] is not None
    ]

    for row, parent in pairs:
        owners = {it["user_id"] for it in (row, parent) if "user_id" in it}
        assert row["created_at"] >= parent["created_at"]
        assert len(owners) <= 1


def test_performance_has_some_of_everything() -> None:
    made = rows("performance")

    for name, of_table in made.items():
        for column in (Base.metadata.tables[name].c[key] for key in of_table[0]):
            values = [row[column.name] for row in of_table]
            if column.nullable:
                assert {value is None for value in values} == {True, False}
            if isinstance(column.type, sa.Enum):
                assert set(values) == set(column.type.python_type)


@pytest.mark.parametrize(
    ("scenario", "scale", "message"),
    [
        ("nonsense", 1, "no scenario 'nonsense', only minimal, basic_workflow, multi_user, perf"),
        ("minimal", 2, "minimal has one size, only performance takes a scale factor"),
        ("performance", 0, "a whole number, 1 or more"),
        ("performance", 1.5, "a whole number, 1 or more"),
    ],
)
def test_other_scenarios_and_sizes_are_refused(scenario: str, scale: int, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        rows(scenario, scale)
