"""Scenarios have exactly the rows that they promise, and the same ones every time."""

import pytest

from placeholder_service.models import Base

from tests.fixtures import scenarios
from tests.fixtures.scenarios import rows

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("scenario", "scale", "sizes"),
    [
        ("minimal", 1, (3, 2, 5, 3)),
        ("basic_workflow", 1, (10, 15, 50, 20)),
        ("multi_user", 1, (25, 40, 150, 75)),
        ("performance", 1, (100, 200, 1000, 500)),
        ("performance", 2, (200, 400, 2000, 1000)),
        ("analytics", 1, (50, 50, 100, 50)),
    ],
)
def test_sizes_are_exact(scenario: str, scale: int, sizes: tuple[int, ...]) -> None:
    made = rows(scenario, scale)

    assert tuple(made) == scenarios.Counts._fields
    assert tuple(len(of_table) for of_table in made.values()) == sizes


def test_the_same_seed_makes_the_same_rows_and_another_seed_others() -> None:
    made, again, other = rows("minimal"), rows("minimal"), rows("minimal", seed=2)

    assert made == again
    assert str(made["users"][0]["id"]) == "e134307a-e8a7-448a-a00d-ca3603f923db"
    for column in ("id", "email"):
        assert not {row[column] for row in made["users"]} & {row[column] for row in other["users"]}


def test_rows_belong_to_the_user_of_their_parents_and_are_younger() -> None:
    made = rows("multi_user")
    parents = {row["id"]: row for of_table in made.values() for row in of_table}

    for name, of_table in made.items():
        for key in Base.metadata.tables[name].foreign_keys:
            for row in of_table:
                parent = parents.get(row.get(key.parent.name), row)
                assert row["created_at"] >= parent["created_at"]
                assert len({it["user_id"] for it in (row, parent) if "user_id" in it}) <= 1
