"""The supply at the feeder's meter: what is told of frequency and voltage, and what is not."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cloud.grid.supply import SupplySample, SupplyState, disturbances, take_supply
from contracts.grid import Disturbance
from tests.support.cloud.feeder import settings

START = datetime(2026, 6, 1, 12, tzinfo=UTC)


def _told(
    frequencies_hz: Sequence[float | None] = (),
    *,
    voltages_v: Sequence[tuple[float, ...]] = (),
    step_s: float = 1.0,
    held: bool = False,
    nominal_hz: float = 50.0,
) -> list[tuple[Disturbance, ...]]:
    """Return what stands after each of the samples."""
    count = max(len(frequencies_hz), len(voltages_v))
    state, seen = SupplyState(), []
    for index in range(count):
        sample = SupplySample(
            at=START + timedelta(seconds=step_s * index),
            frequency_hz=frequencies_hz[index] if index < len(frequencies_hz) else None,
            voltage_v=voltages_v[index] if index < len(voltages_v) else (),
            held=held,
        )
        state = take_supply(state, [sample], settings(nominal_hz=nominal_hz))
        assert take_supply(state, [sample], settings(nominal_hz=nominal_hz)) == state
        seen.append(disturbances(state))
    return seen


@given(st.lists(st.floats(49.81, 50.19), max_size=60), st.lists(st.floats(208, 252), max_size=60))
def test_an_ordinary_supply_is_never_told(frequencies_hz: list[float], voltages_v: list[float]) -> None:
    """An alarm that cries at night is switched off by morning."""
    assert not any(_told(frequencies_hz, voltages_v=[(volts,) for volts in voltages_v]))


def test_a_low_and_a_high_frequency_are_told_and_end() -> None:
    """Both sides of the band at which devices begin to help."""
    low = _told([50.0, 49.7, 49.7, *[50.0] * 40])
    assert low[2] == (Disturbance.UNDER_FREQUENCY,)
    assert low[-1] == ()
    assert _told([50.3] * 3)[-1] == (Disturbance.OVER_FREQUENCY,)
    assert _told([59.7] * 3, nominal_hz=60.0)[-1] == (Disturbance.UNDER_FREQUENCY,)


def test_a_fast_fall_is_told_for_a_minute_and_held_values_are_no_fall() -> None:
    """A rate is over in a moment; who looks at the next message must still see it."""
    fall = [50.0, 48.5, 47.0, *[47.0] * 70]
    told = _told(fall)
    assert Disturbance.FREQUENCY_RATE in told[2]
    assert Disturbance.FREQUENCY_RATE in told[60]
    assert Disturbance.FREQUENCY_RATE not in told[-1]
    assert not any(Disturbance.FREQUENCY_RATE in each for each in _told(fall, held=True))


def test_a_voltage_outside_its_band_is_told_after_a_minute_of_it() -> None:
    """The worst phase counts, and what was told five minutes ago may still hold."""
    low = _told(voltages_v=[(231.0, 206.0, 230.0)] * 62)
    assert low[59] == ()
    assert low[61] == (Disturbance.LOW_VOLTAGE,)
    assert _told(voltages_v=[(254.0,)] * 2, step_s=300)[-1] == (Disturbance.HIGH_VOLTAGE,)


def test_a_dead_line_says_nothing() -> None:
    """Half of nominal is no supply; a frequency beside it means nothing."""
    assert not any(_told([47.0] * 10, voltages_v=[(3.0,)] * 10))
