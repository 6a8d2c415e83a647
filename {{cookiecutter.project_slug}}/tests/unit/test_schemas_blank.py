"""Inputs: what is accepted, what is refused, and what a partial update leaves alone."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from placeholder_service.schemas.base import VALUES_MAX
from placeholder_service.schemas.users import UserUpdate

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "data", [{"name": ""}, {"name": " \n"}, {"name": "x" * 101}, {"name": None}, {"colour": 1}]
)
def test_bad_input_is_refused_at_its_field(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refusal:
        UserUpdate.model_validate(data)

    assert [fault["loc"] for fault in refusal.value.errors()] == [tuple(data)]


@pytest.mark.parametrize("data", [{}, {"name": "x" * 100}])
def test_a_partial_update_holds_only_what_was_sent(data: dict[str, Any]) -> None:
    assert UserUpdate.model_validate(data).changes() == data


@pytest.mark.parametrize("data", [{"name": "a\0"}, {"name": math.inf}, {"name": [0] * VALUES_MAX}])
def test_what_cannot_be_stored_is_refused_whole(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refusal:
        UserUpdate.model_validate(data)

    assert [fault["loc"] for fault in refusal.value.errors()] == [()]
