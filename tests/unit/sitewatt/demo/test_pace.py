"""The demonstration runs as fast as the machine can, and no faster than it was made for."""

import pytest

from sitewatt.demo.pace import SPEED_MAX, SPEED_MIN, measured_rounds_per_s, speed_for


@pytest.mark.parametrize(
    ("gateways", "rounds_per_s", "speed"),
    [(6, 160_000.0, SPEED_MAX), (6, 40_000.0, 14.0), (21, 160_000.0, 16.0), (21, 1_000.0, SPEED_MIN)],
)
def test_the_speed_follows_what_the_machine_can_do(gateways: int, rounds_per_s: float, speed: float) -> None:
    """A machine that is busy, or has one core, runs slower instead of losing its race."""
    assert speed_for(gateways=gateways, rounds_per_s=rounds_per_s) == speed


def test_the_measurement_measures() -> None:
    """Every core reports some work."""
    assert measured_rounds_per_s(0.05) > 0
