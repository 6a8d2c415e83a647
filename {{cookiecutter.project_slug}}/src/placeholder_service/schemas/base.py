"""What every input and output shares."""

import math
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import from_json

# Each value may be an error of its own, and listing them takes long.
VALUES_MAX = 5000


class UnparsedJson(bytes):
    """JSON as a client sent it, in UTF-8."""


class Input(BaseModel):
    """Something a client sends. Unknown fields are refused, so a typing error is seen."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def parse(cls, data: object) -> object:
        """Parse JSON, and refuse the values that PostgreSQL cannot store.

        Raises:
            ValueError: It is not JSON, is nested too deeply, has more than `VALUES_MAX` values, or
                holds U+0000 or a number that is not finite.
        """
        if isinstance(data, UnparsedJson):
            try:
                data = from_json(data, allow_inf_nan=False)
            except ValueError as error:
                raise ValueError(f"invalid JSON: {error}") from None
        elif isinstance(data, bytes):
            raise ValueError("this is not sent as JSON: add Content-Type: application/json")
        refuse_unstorable(data)
        return data


def refuse_unstorable(data: object) -> None:
    """Refuse U+0000 and numbers that are not finite, anywhere in a value or its keys, and too many.

    Raises:
        ValueError: There is one.
    """
    waiting, count = [data], 0
    while waiting:
        value, count = waiting.pop(), count + 1
        if count > VALUES_MAX:
            raise ValueError(f"more than {VALUES_MAX} values are too many")
        if isinstance(value, str) and "\0" in value:
            raise ValueError("the character U+0000 cannot be stored")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("a number that is not finite cannot be stored")
        if isinstance(value, dict):
            waiting.extend(value.keys())
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


# The default of a field that may be left out but not be null. A factory's value is not documented.
LEFT_OUT: Any = Field(default_factory=lambda: None)


def text(max_length: int) -> StringConstraints:
    """Return the constraints of a text that is not blank; the pattern tells clients of U+0000."""
    pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"
    return StringConstraints(min_length=1, max_length=max_length, pattern=pattern)


class PartialUpdate(Input):
    """Fields that are left out stay as they are; null, where the type allows it, clears one."""

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
