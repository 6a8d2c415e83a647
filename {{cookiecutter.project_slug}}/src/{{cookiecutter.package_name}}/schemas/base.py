"""What every input and output shares."""

from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, model_validator


class Input(BaseModel):
    """Something a client sends. Unknown fields are refused, so a typing error is seen."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def refuse_nul(cls, data: object) -> object:
        """Refuse the one character that PostgreSQL cannot store.

        Raises:
            ValueError: It is in a text, wherever that is.
        """
        if holds_nul(data):
            raise ValueError("the character U+0000 cannot be stored")
        return data


def holds_nul(value: object) -> bool:
    """Tell whether a text with a NUL character is in a value, or is its key."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(holds_nul(item) for pair in value.items() for item in pair)
    return isinstance(value, list) and any(map(holds_nul, value))


class PartialUpdate(Input):
    """Fields that are left out stay as they are.

    Raises:
        ValueError: A field is null that cannot be empty.
    """

    clearable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def refuse_null(self) -> Self:
        """Accept null only where it means "clear this"."""
        nulls = {name for name in self.model_fields_set if getattr(self, name) is None}
        if refused := sorted(nulls - self.clearable):
            raise ValueError(f"may be left out, but not null: {', '.join(refused)}")
        return self

    def changes(self) -> dict[str, Any]:
        """Return the fields the client sent, by name."""
        return self.model_dump(exclude_unset=True)


class Output(BaseModel):
    """Something the service answers, read from a table's row."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created_at: datetime
    updated_at: datetime


class Page(BaseModel):
    """A part of a longer list: `total` counts all of it. Subclasses add `items`."""

    total: int
    limit: int
    offset: int
