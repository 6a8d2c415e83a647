"""Inputs and outputs about notes."""

from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from placeholder_service.schemas.base import Input, Output


class NoteCreate(Input):
    """A new note."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class NoteResponse(Output):
    """A note as the API shows it."""

    user_id: UUID
    text: str
