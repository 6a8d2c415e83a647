"""Scenarios have known sizes, and one of them comes in others."""

import pytest
from testdb.scenarios import ScenarioError, scaled

SIZES = {"small": (1, 2), "large": (10, 20)}


def test_a_scenario_is_scaled() -> None:
    found = [scaled(SIZES, "small", 1, "large"), scaled(SIZES, "large", 3, "large")]

    assert found == [(1, 2), (30, 60)]


@pytest.mark.parametrize(
    ("scenario", "scale", "message"),
    [
        ("none", 1, "no scenario 'none', only small, large"),
        ("large", 0, "a whole number, 1 or more"),
        ("small", 2, "small has one size, only large takes a scale factor"),
    ],
)
def test_a_size_that_there_is_not_is_refused(scenario: str, scale: int, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        scaled(SIZES, scenario, scale, "large")
