"""The periods of statistics: the last thirty days if nothing is said, and at most a year."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from placeholder_service.schemas.analytics import (
    Period,
    TopTags,  # if domain == sample
)

pytestmark = pytest.mark.unit


def test_without_a_period_it_is_the_last_thirty_days() -> None:
    days = list(Period().days())

    today = datetime.now(UTC).date()
    assert len(days) == 30
    assert today - timedelta(days=1) <= days[-1] <= today


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"since": "2026-05-02", "until": "2026-05-01"}, "until is before since"),
        ({"since": "2025-05-01", "until": "2026-05-02"}, "at most 366 days"),
        ({"since": "1999-12-31", "until": "2000-01-02"}, "2000-01-01"),
        ({"until": "2100-01-01"}, "2099-12-31"),
        ({"since": "yesterday"}, "date"),
        ({"days": 7}, "Extra inputs"),
    ],
)
def test_what_is_out_of_bounds_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Period.model_validate(given)


# if domain == sample
def test_the_number_of_tags_has_bounds() -> None:
    for limit in (0, 101):
        with pytest.raises(ValidationError, match="limit"):
            TopTags.model_validate({"limit": limit})

    assert [TopTags(limit=limit).limit for limit in (1, 100)] == [1, 100]


# end if
def test_the_bounds_themselves_are_accepted() -> None:
    period = Period.model_validate({"since": "2024-01-01", "until": "2024-12-31"})

    assert len(list(period.days())) == 366
