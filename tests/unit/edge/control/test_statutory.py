"""Limits that law writes, checked against worked numbers."""

import pytest

from edge.control.statutory import RippleStep, ripple_limit_w, ripple_step, steerable_minimum_w


@pytest.mark.parametrize(
    ("loads", "heat_pumps_w", "minimum_w"),
    [
        (1, 0, 4_200),
        (2, 0, 7_560),
        (3, 0, 10_500),
        (9, 0, 19_320),
        (12, 0, 24_990),
        (1, 20_000, 8_000),
        (2, 20_000, 11_360),
    ],
)
def test_the_floor_of_steerable_loads_follows_the_published_formula(
    loads: int, heat_pumps_w: float, minimum_w: float
) -> None:
    """A site may never be pushed below what the law leaves it."""
    assert steerable_minimum_w(loads=loads, large_heat_pumps_w=heat_pumps_w) == pytest.approx(minimum_w)


def test_impossible_counts_are_refused() -> None:
    """A wrong count would quietly cost the customer power."""
    with pytest.raises(ValueError, match="0 steerable loads"):
        steerable_minimum_w(loads=0)
    with pytest.raises(ValueError, match="not above"):
        steerable_minimum_w(loads=1, large_cooling_w=9_000)


def test_of_several_closed_contacts_the_lowest_step_counts() -> None:
    """A wire that sticks must not raise a limit."""
    assert ripple_step(k60=False, k30=False, k0=False) is RippleStep.FULL
    assert ripple_step(k60=True, k30=False, k0=False) is RippleStep.SIXTY
    assert ripple_step(k60=True, k30=True, k0=False) is RippleStep.THIRTY
    assert ripple_step(k60=True, k30=True, k0=True) is RippleStep.NONE
    assert ripple_limit_w(RippleStep.SIXTY, installed_w=10_000) == 6_000
    assert ripple_limit_w(RippleStep.FULL, installed_w=10_000) is None
