"""Inputs and outputs about users."""

from typing import Annotated

from placeholder_service.domain import NAME_MAX
from placeholder_service.schemas.base import LEFT_OUT, Output, PartialUpdate, text


class UserUpdate(PartialUpdate):
    """A change to a user."""

    name: Annotated[str, text(NAME_MAX)] = LEFT_OUT


class UserResponse(Output):
    """A user as the API shows them."""

    email: str
    name: str
