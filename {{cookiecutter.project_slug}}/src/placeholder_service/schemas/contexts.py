"""Inputs and outputs about contexts."""

from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import StringConstraints

from placeholder_service.domain import CONTEXT_DESCRIPTION_MAX, NAME_MAX
from placeholder_service.schemas.base import Input, Output, PartialUpdate

Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_MAX)]
Description = Annotated[str, StringConstraints(max_length=CONTEXT_DESCRIPTION_MAX)]


class ContextCreate(Input):
    """A new context."""

    name: Name
    description: Description | None = None
    data: dict[str, Any] = {}


class ContextUpdate(PartialUpdate):
    """A change to a context."""

    clearable: ClassVar[frozenset[str]] = frozenset({"description"})

    name: Name | None = None
    description: Description | None = None
    data: dict[str, Any] | None = None


class ContextResponse(Output):
    """A context as the API shows it."""

    user_id: UUID
    name: str
    description: str | None
    data: dict[str, Any]
