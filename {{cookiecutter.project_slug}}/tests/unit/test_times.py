"""Times are stored in UTC and come back aware, also where the database keeps no time zone."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects import sqlite

from placeholder_service.models.base import UtcDateTime

pytestmark = pytest.mark.unit

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("given", [NOON, NOON.astimezone(timezone(timedelta(hours=1))), None])
@pytest.mark.parametrize("zone", [UTC, None])
def test_a_time_comes_back_in_utc(given: datetime | None, zone: timezone | None) -> None:
    column = UtcDateTime()

    stored = column.process_bind_param(given, sqlite.dialect())
    read = column.process_result_value(stored and stored.replace(tzinfo=zone), sqlite.dialect())

    assert read == (given and NOON)


def test_naive_times_are_refused() -> None:
    with pytest.raises(ValueError, match="naive datetime"):
        UtcDateTime().process_bind_param(NOON.replace(tzinfo=None), sqlite.dialect())
