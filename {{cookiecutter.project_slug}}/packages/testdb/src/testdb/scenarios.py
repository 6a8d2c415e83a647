"""Scenarios: rows of known sizes, which a project makes and tests ask for by name."""

from collections.abc import Mapping


class ScenarioError(ValueError):
    """The scenario does not exist, or not in this size."""


def scaled(
    scenarios: Mapping[str, tuple[int, ...]], scenario: str, scale_factor: int, scalable: str
) -> tuple[int, ...]:
    """Return how many rows a scenario has in each table.

    Args:
        scenarios: The sizes of all scenarios, by name.
        scenario: The one that is asked for.
        scale_factor: How many times as large it is to be, 1 or more.
        scalable: The only one that comes in other sizes.

    Raises:
        ScenarioError: The scenario is unknown, or does not exist in this size.
    """
    if scenario not in scenarios:
        raise ScenarioError(f"there is no scenario {scenario!r}, only {', '.join(scenarios)}")
    if scale_factor < 1:
        raise ScenarioError("a scale factor is a whole number, 1 or more")
    if scale_factor != 1 and scenario != scalable:
        raise ScenarioError(f"{scenario} has one size, only {scalable} takes a scale factor")
    return tuple(count * scale_factor for count in scenarios[scenario])
