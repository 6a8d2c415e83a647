"""Column types and naming, as far as they need no database."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects import sqlite

from placeholder_service.models import Base
from placeholder_service.models.base import UtcDateTime

pytestmark = pytest.mark.unit

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def test_times_are_stored_in_utc() -> None:
    in_paris = NOON.astimezone(timezone(timedelta(hours=1)))

    assert UtcDateTime().process_bind_param(in_paris, sqlite.dialect()) == NOON


def test_naive_times_are_refused() -> None:
    with pytest.raises(ValueError, match="naive datetime"):
        UtcDateTime().process_bind_param(NOON.replace(tzinfo=None), sqlite.dialect())


@pytest.mark.parametrize("stored", [NOON, NOON.replace(tzinfo=None), None])
def test_times_come_back_aware(stored: datetime | None) -> None:
    expected = None if stored is None else NOON

    assert UtcDateTime().process_result_value(stored, sqlite.dialect()) == expected


def test_every_constraint_has_a_name() -> None:
    unnamed = [
        f"{table.name}: {constraint!r}"
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if not constraint.name
    ]

    assert unnamed == []
