"""Inputs: what is accepted, what is refused, and what a partial update leaves alone."""

from typing import Any

import pytest
from pydantic import ValidationError

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
