"""Inputs and outputs about contexts."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import StringConstraints

from placeholder_service.domain import CONTEXT_DESCRIPTION_MAX, NAME_MAX
from placeholder_service.schemas.base import LEFT_OUT, Input, Output, PartialUpdate, text

Name = Annotated[str, text(NAME_MAX)]
Description = Annotated[str, StringConstraints(max_length=CONTEXT_DESCRIPTION_MAX)]


class ContextCreate(Input):
    """A new context."""

    name: Name
    description: Description | None = None
    data: dict[str, Any] = {}


class ContextUpdate(PartialUpdate):
    """A change to a context."""

    name: Name = LEFT_OUT
    description: Description | None = None
    data: dict[str, Any] = LEFT_OUT


class ContextResponse(Output):
    """A context as the API shows it."""

    user_id: UUID
    name: str
    description: str | None
    data: dict[str, Any]
