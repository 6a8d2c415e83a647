"""Inputs: what is accepted, what is refused, and what a partial update leaves alone."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from placeholder_service.domain import ThoughtStatus
from placeholder_service.schemas.base import VALUES_MAX
from placeholder_service.schemas.contexts import ContextCreate, ContextUpdate
from placeholder_service.schemas.tasks import TaskCreate, TaskUpdate
from placeholder_service.schemas.thoughts import ThoughtCreate, ThoughtUpdate

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("schema", "data", "field"),
    [
        (ThoughtCreate, {}, "content"),
        (ThoughtCreate, {"content": "  \n"}, "content"),
        (ThoughtCreate, {"content": "x" * 5001}, "content"),
        (ThoughtCreate, {"content": "x", "tags": ["t"] * 6}, "tags"),
        (ThoughtCreate, {"content": "x", "tags": [""]}, "tags.0"),
        (ThoughtCreate, {"content": "x", "tags": ["t" * 51]}, "tags.0"),
        (ThoughtCreate, {"content": "x", "status": "lost"}, "status"),
        (ThoughtCreate, {"content": "x", "colour": 1}, "colour"),
        (ThoughtUpdate, {"content": ""}, "content"),
        (TaskCreate, {"description": "x"}, "title"),
        (TaskCreate, {"title": "x" * 201}, "title"),
        (TaskCreate, {"title": "x", "priority": "soon"}, "priority"),
        (TaskCreate, {"title": "x", "due_at": "2030-01-01T00:00:00"}, "due_at"),
        (TaskUpdate, {"status": "lost"}, "status"),
        (ContextCreate, {"name": "x" * 101}, "name"),
        (ContextCreate, {"name": "x", "description": "x" * 501}, "description"),
        (ContextCreate, {"name": "x", "data": {"a": ["\0"]}}, ""),
        (ContextCreate, {"name": "x", "data": {"a": 1e999}}, ""),
        (ContextCreate, {"name": "x", "data": {"a": [0] * VALUES_MAX}}, ""),
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
        (ThoughtCreate, {"content": "x" * 5000, "tags": ["t" * 50] * 5}),
        (TaskCreate, {"title": "x" * 200}),
        (ContextCreate, {"name": "x" * 100}),
    ],
)
def test_limits_themselves_are_accepted(schema: type[BaseModel], data: dict[str, Any]) -> None:
    accepted = schema.model_validate(data)

    assert accepted.model_dump(exclude_unset=True) == data


def test_optional_fields_have_defaults() -> None:
    thought = ThoughtCreate(content="An idea")

    assert (thought.status, thought.tags, thought.context_id) == (ThoughtStatus.ACTIVE, [], None)


def test_a_partial_update_holds_only_what_was_sent() -> None:
    update = ThoughtUpdate.model_validate({"status": "archived", "context_id": None})

    assert update.changes() == {"status": ThoughtStatus.ARCHIVED, "context_id": None}


@pytest.mark.parametrize(
    ("schema", "field"), [(ThoughtUpdate, "tags"), (TaskUpdate, "status"), (ContextUpdate, "name")]
)
def test_a_partial_update_cannot_empty_a_required_field(
    schema: type[BaseModel], field: str
) -> None:
    with pytest.raises(ValidationError, match=f"{field}\n  Input should be"):
        schema.model_validate({field: None})
