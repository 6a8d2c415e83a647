"""Inputs: what is accepted, what is refused, and what a partial update leaves alone."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel, ValidationError

from placeholder_service.domain import ThoughtStatus
from placeholder_service.schemas.contexts import ContextCreate, ContextUpdate
from placeholder_service.schemas.tasks import TaskCreate, TaskUpdate
from placeholder_service.schemas.thoughts import (
    ThoughtCreate,
    ThoughtResponse,
    ThoughtUpdate,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("schema", "data", "field"),
    [
        pytest.param(ThoughtCreate, {}, "content", id="content is required"),
        pytest.param(ThoughtCreate, {"content": ""}, "content", id="empty content"),
        pytest.param(ThoughtCreate, {"content": "  \n"}, "content", id="blank content"),
        pytest.param(ThoughtCreate, {"content": "x" * 5001}, "content", id="over-long content"),
        pytest.param(ThoughtCreate, {"content": "x", "tags": ["t"] * 6}, "tags", id="six tags"),
        pytest.param(ThoughtCreate, {"content": "x", "tags": [""]}, "tags.0", id="empty tag"),
        pytest.param(
            ThoughtCreate, {"content": "x", "tags": ["t" * 51]}, "tags.0", id="over-long tag"
        ),
        pytest.param(
            ThoughtCreate, {"content": "x", "status": "lost"}, "status", id="unknown status"
        ),
        pytest.param(ThoughtCreate, {"content": "x", "colour": 1}, "colour", id="unknown field"),
        pytest.param(ThoughtUpdate, {"content": ""}, "content", id="update to empty content"),
        pytest.param(TaskCreate, {"description": "x"}, "title", id="title is required"),
        pytest.param(TaskCreate, {"title": "x" * 201}, "title", id="over-long title"),
        pytest.param(TaskCreate, {"title": "x", "priority": "soon"}, "priority", id="priority"),
        pytest.param(
            TaskCreate, {"title": "x", "due_at": "2030-01-01T00:00:00"}, "due_at", id="naive time"
        ),
        pytest.param(TaskUpdate, {"status": "lost"}, "status", id="unknown task status"),
        pytest.param(ContextCreate, {"name": "x" * 101}, "name", id="over-long name"),
        pytest.param(
            ContextCreate,
            {"name": "x", "description": "x" * 501},
            "description",
            id="over-long description",
        ),
        pytest.param(ContextUpdate, {"data": [1]}, "data", id="data is an object"),
        pytest.param(ContextCreate, {"name": "x", "data": {"a": ["\0"]}}, "", id="a NUL inside"),
    ],
)
def test_bad_input_is_refused_at_its_field(
    schema: type[BaseModel], data: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as refusal:
        schema.model_validate(data)

    assert field in {".".join(map(str, fault["loc"])) for fault in refusal.value.errors()}


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        pytest.param(ThoughtCreate, {"content": "x" * 5000}, id="longest content"),
        pytest.param(ThoughtCreate, {"content": "x", "tags": ["t" * 50] * 5}, id="most tags"),
        pytest.param(TaskCreate, {"title": "x" * 200}, id="longest title"),
        pytest.param(ContextCreate, {"name": "x" * 100}, id="longest name"),
    ],
)
def test_limits_themselves_are_accepted(schema: type[BaseModel], data: dict[str, Any]) -> None:
    accepted = schema.model_validate(data)

    assert accepted.model_dump(exclude_unset=True) == data


def test_optional_fields_have_defaults() -> None:
    thought = ThoughtCreate(content="An idea")

    assert thought.status is ThoughtStatus.ACTIVE
    assert thought.tags == []
    assert thought.context_id is None


def test_a_partial_update_holds_only_what_was_sent() -> None:
    update = ThoughtUpdate.model_validate({"status": "archived", "context_id": None})

    assert update.changes() == {"status": ThoughtStatus.ARCHIVED, "context_id": None}


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        (ThoughtUpdate, "content"),
        (ThoughtUpdate, "tags"),
        (TaskUpdate, "title"),
        (TaskUpdate, "status"),
        (ContextUpdate, "name"),
        (ContextUpdate, "data"),
    ],
)
def test_a_partial_update_cannot_empty_a_required_field(
    schema: type[BaseModel], field: str
) -> None:
    with pytest.raises(ValidationError, match=f"not null: {field}"):
        schema.model_validate({field: None})


def test_an_output_survives_the_way_through_json() -> None:
    now = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    response = ThoughtResponse(
        id=uuid4(),
        user_id=uuid4(),
        context_id=None,
        content="Grüße, 世界",
        status=ThoughtStatus.COMPLETED,
        tags=['a "quoted" tag', "émoji 🎉"],
        created_at=now,
        updated_at=now,
    )

    assert ThoughtResponse.model_validate_json(response.model_dump_json()) == response
