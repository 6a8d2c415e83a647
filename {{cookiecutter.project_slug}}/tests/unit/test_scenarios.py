"""Scenarios have exactly the rows they promise, and the same ones every time."""

from datetime import datetime
from uuid import UUID

import pytest
import sqlalchemy as sa
from pydantic import EmailStr, TypeAdapter

from placeholder_service.domain import TAG_LENGTH_MAX, TAGS_MAX, TaskStatus
from placeholder_service.models import Base

from tests.fixtures import scenarios
from tests.fixtures.scenarios import Row, ScenarioError, rows

pytestmark = pytest.mark.unit

Rows = dict[sa.Table, list[Row]]


def of_table(name: str, made: Rows) -> list[Row]:
    """Return the rows of one table."""
    return made[Base.metadata.tables[name]]


@pytest.fixture(params=scenarios.SCENARIOS)
def made(request: pytest.FixtureRequest) -> Rows:
    """The rows of each scenario in turn."""
    return rows(request.param)


@pytest.mark.parametrize(
    ("scenario", "scale", "users", "contexts", "thoughts", "tasks"),
    [
        ("minimal", 1, 3, 2, 5, 3),
        ("basic_workflow", 1, 10, 15, 50, 20),
        ("multi_user", 1, 25, 40, 150, 75),
        ("performance", 1, 100, 200, 1000, 500),
        ("performance", 3, 300, 600, 3000, 1500),
        ("analytics", 1, 50, 50, 100, 50),
    ],
)
def test_sizes_are_exact(
    scenario: str, scale: int, users: int, contexts: int, thoughts: int, tasks: int
) -> None:
    made = rows(scenario, scale)

    sizes = {table.name: len(of_it) for table, of_it in made.items()}
    relationships = sizes.pop("thought_relationships")
    assert sizes == {"users": users, "contexts": contexts, "thoughts": thoughts, "tasks": tasks}
    assert relationships == thoughts // 5
    assert sum(scenarios.counts(scenario, scale)) == sum(sizes.values()) + relationships


def test_the_same_seed_makes_the_same_rows() -> None:
    assert rows("performance", 2, seed=7) == rows("performance", 2, seed=7)


@pytest.mark.parametrize(
    "other",
    [rows("performance", seed=2), rows("performance", 2), rows("multi_user")],
    ids=["seed", "scale", "scenario"],
)
def test_anything_else_makes_rows_that_fit_beside_them(
    other: Rows,
) -> None:
    made = rows("performance")

    for table in scenarios.TABLES:
        assert not {row["id"] for row in made[table]} & {row["id"] for row in other[table]}
    emails = {row["email"] for row in of_table("users", made)}
    assert not emails & {row["email"] for row in of_table("users", other)}


def test_rows_stay_the_same_from_one_python_to_the_next() -> None:
    [user, *_] = of_table("users", rows("minimal"))

    assert user["id"] == UUID("e8a7b48a-a00d-4a36-83f9-23db68b924f4")
    assert user["email"] == "eva.draper.1@522e4b65.example.com"
    assert user["created_at"] == scenarios.EPOCH


def test_only_nullable_columns_are_null(made: Rows) -> None:
    for table, of_it in made.items():
        for row in of_it:
            null = {name for name, value in row.items() if value is None}
            assert all(table.c[name].nullable for name in null)


def test_parents_come_before_what_refers_to_them(
    made: Rows,
) -> None:
    times: dict[UUID, datetime] = {}
    for table, of_it in made.items():
        for row in of_it:
            for column in table.columns:
                if column.foreign_keys and row.get(column.name) is not None:
                    assert times[row[column.name]] <= row["created_at"]
            times[row["id"]] = row["created_at"]


def test_what_belongs_together_is_of_one_user(made: Rows) -> None:
    contexts = {row["id"]: row["user_id"] for row in of_table("contexts", made)}
    thoughts = {row["id"]: row["user_id"] for row in of_table("thoughts", made)}

    for thought in of_table("thoughts", made):
        assert thought["user_id"] == contexts.get(thought["context_id"], thought["user_id"])
    for task in of_table("tasks", made):
        assert task["user_id"] == thoughts.get(task["thought_id"], task["user_id"])
    for relationship in of_table("thought_relationships", made):
        assert thoughts[relationship["source_id"]] == thoughts[relationship["target_id"]]
        assert relationship["source_id"] != relationship["target_id"]


def test_limits_hold(made: Rows) -> None:
    names = [(row["user_id"], row["name"]) for row in of_table("contexts", made)]
    assert len(set(names)) == len(names)
    for user in of_table("users", made):
        assert TypeAdapter(EmailStr).validate_python(user["email"]) == user["email"].lower()
    for thought in of_table("thoughts", made):
        assert len(thought["tags"]) <= TAGS_MAX
        assert all(0 < len(tag) <= TAG_LENGTH_MAX for tag in thought["tags"])
    for task in of_table("tasks", made):
        assert (task["completed_at"] is not None) == (task["status"] is TaskStatus.DONE)


def test_performance_has_some_of_everything() -> None:
    made = rows("performance")

    for table, of_it in made.items():
        for column in (table.c[name] for name in of_it[0]):
            if column.nullable:
                assert len({row[column.name] is None for row in of_it}) == 2
            if isinstance(column.type, sa.Enum):
                assert len({row[column.name] for row in of_it}) == len(column.type.enums)


def test_rows_share_no_lists() -> None:
    thoughts = of_table("thoughts", rows("performance"))
    before = [list(thought["tags"]) for thought in thoughts]

    thoughts[0]["tags"].append("only here")

    assert [thought["tags"] for thought in thoughts[1:]] == before[1:]
    assert of_table("thoughts", rows("performance"))[0]["tags"] == before[0]


@pytest.mark.parametrize(
    ("scenario", "scale", "message"),
    [
        ("nonsense", 1, "no scenario 'nonsense', only minimal, basic_workflow, multi_user, perf"),
        ("minimal", 2, "minimal has one size, only performance takes a scale factor"),
        ("performance", 0, "a whole number, 1 or more"),
        ("performance", -1, "a whole number, 1 or more"),
        ("performance", 1.5, "a whole number, 1 or more"),
    ],
)
def test_what_there_is_not_is_an_error(scenario: str, scale: int, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        rows(scenario, scale)
