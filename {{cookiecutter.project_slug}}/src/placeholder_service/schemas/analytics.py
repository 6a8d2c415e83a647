"""Inputs and outputs of the statistics."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from placeholder_service.schemas.base import Input

DAYS_DEFAULT = 30
DAYS_MAX = 366
DAY = timedelta(days=1)

# Within what ClickHouse's dates hold.
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2099, 12, 31))]


class Period(Input):
    """Days in UTC, the first and the last included: the last 30 if nothing else is said.

    Raises:
        ValueError: It ends before it begins, or has too many days.
    """

    since: Day | None = None
    until: Day | None = None

    @model_validator(mode="after")
    def check_length(self) -> Self:
        """Refuse what is no period, or would take ClickHouse long."""
        if self.last < self.first:
            raise ValueError("until is before since")
        if (self.last - self.first).days >= DAYS_MAX:
            raise ValueError(f"a period has at most {DAYS_MAX} days")
        return self

    @property
    def last(self) -> date:
        """The last day: today, unless another one was given."""
        return self.until or datetime.now(UTC).date()

    @property
    def first(self) -> date:
        """The first day."""
        return self.since or self.last - (DAYS_DEFAULT - 1) * DAY

    def days(self) -> Iterator[date]:
        """Yield every day."""
        for number in range((self.last - self.first).days + 1):
            yield self.first + number * DAY


# if domain == sample
class TopTags(Period):
    """A period, and how many tags to name."""

    limit: int = Field(default=10, ge=1, le=100)


# end if
# if domain == sample
class TagUse(BaseModel):
    """In how many thoughts a tag was used."""

    tag: str
    thoughts: int


# end if
class EventsOfDay(BaseModel):
    """How many events a day had."""

    day: date
    events: int


class UsersOfDay(BaseModel):
    """How many users did something on a day."""

    day: date
    users: int
