"""Inputs and outputs about thoughts."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints

from placeholder_service.domain import (
    TAG_LENGTH_MAX,
    TAGS_MAX,
    THOUGHT_CONTENT_MAX,
    ThoughtStatus,
)
from placeholder_service.schemas.base import (
    Input,
    Output,
    Page,
    PartialUpdate,
)

Content = Annotated[str, StringConstraints(min_length=1, max_length=THOUGHT_CONTENT_MAX)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=TAG_LENGTH_MAX)]
Tags = Annotated[list[Tag], Field(max_length=TAGS_MAX)]


class ThoughtCreate(Input):
    """A new thought."""

    content: Content
    context_id: UUID | None = None
    status: ThoughtStatus = ThoughtStatus.ACTIVE
    tags: Tags = []


class ThoughtUpdate(PartialUpdate):
    """A change to a thought."""

    clearable: ClassVar[frozenset[str]] = frozenset({"context_id"})

    content: Content | None = None
    context_id: UUID | None = None
    status: ThoughtStatus | None = None
    tags: Tags | None = None


class ThoughtResponse(Output):
    """A thought as the API shows it."""

    user_id: UUID
    context_id: UUID | None
    content: str
    status: ThoughtStatus
    tags: list[str]


class ThoughtPage(Page):
    """A part of the list of thoughts."""

    items: list[ThoughtResponse]
