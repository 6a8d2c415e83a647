"""Inputs and outputs about thoughts."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from placeholder_service.domain import TAG_LENGTH_MAX, TAGS_MAX, THOUGHT_CONTENT_MAX, ThoughtStatus
from placeholder_service.schemas.base import LEFT_OUT, Input, Output, Page, PartialUpdate, text

Content = Annotated[str, text(THOUGHT_CONTENT_MAX)]
Tag = Annotated[str, text(TAG_LENGTH_MAX)]
Tags = Annotated[list[Tag], Field(max_length=TAGS_MAX)]


class ThoughtCreate(Input):
    """A new thought."""

    content: Content
    context_id: UUID | None = None
    status: ThoughtStatus = ThoughtStatus.ACTIVE
    tags: Tags = []


class ThoughtUpdate(PartialUpdate):
    """A change to a thought."""

    content: Content = LEFT_OUT
    context_id: UUID | None = None
    status: ThoughtStatus = LEFT_OUT
    tags: Tags = LEFT_OUT


class ThoughtFilter(Input):
    """Which thoughts to list, and which part of that list."""

    status: ThoughtStatus | None = None
    context_id: UUID | None = None
    limit: int = Field(default=50, ge=1, le=200)
    # No larger number than both databases take.
    offset: int = Field(default=0, ge=0, le=2**63 - 1)


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
