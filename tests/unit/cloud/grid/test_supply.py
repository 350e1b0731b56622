"""The supply at the feeder's meter: what is told of frequency and voltage, and what is not."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.grid.state import EventState, dump_state, load_state
from cloud.grid.supply import SupplySample, SupplyState, disturbances, take_supply, unobservable
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


@given(st.lists(st.floats(49.81, 50.19), max_size=60), st.lists(st.floats(228, 232), max_size=60))
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


def test_a_dead_line_is_an_outage_and_its_frequency_is_none() -> None:
    """Half of nominal is no supply; a frequency beside it means nothing."""
    told = _told([47.0] * 10, voltages_v=[(3.0, 2.0, 3.0)] * 10)
    assert told[0] == ()
    assert all(each == (Disturbance.OUTAGE,) for each in told[1:])
    back = _told(voltages_v=[(3.0,) * 3] * 5 + [(230.0,) * 3] * 15)
    assert back[-1] == ()


def test_a_dead_phase_is_told_and_blinds_nobody_to_the_others() -> None:
    """A phase without a voltage hid 1.3 of nominal on the other two."""
    assert _told(voltages_v=[(3.0, 231.0, 229.0)] * 4)[2] == (Disturbance.PHASE_LOST,)
    assert _told(voltages_v=[(230.0, 118.0, 114.0)] * 4)[2] == (Disturbance.PHASE_LOST,)
    high = _told(voltages_v=[(3.0, 299.0, 299.0)] * 70)
    assert high[2] == (Disturbance.NEUTRAL_LOST,)
    assert Disturbance.HIGH_VOLTAGE in high[-1]
    assert Disturbance.UNDER_FREQUENCY in _told([49.5] * 5, voltages_v=[(3.0, 231.0, 229.0)] * 5)[-1]


def test_a_wandering_star_point_is_a_lost_neutral_and_a_loaded_phase_is_not() -> None:
    """The first destroys appliances within minutes; the second is any evening."""
    assert _told(voltages_v=[(180.0, 262.0, 255.0)] * 4)[3] == (Disturbance.NEUTRAL_LOST,)
    assert not any(_told(voltages_v=[(212.0, 243.0, 240.0)] * 50))


def test_one_reading_alone_is_no_outage() -> None:
    """A meter that reads zero once has slipped."""
    assert not any(_told(voltages_v=[(230.0,) * 3, (0.0,) * 3, (230.0,) * 3, (230.0,) * 3]))


def test_a_frequency_off_by_a_tenth_for_five_minutes_is_the_alert_state() -> None:
    """Regulation (EU) 2017/1485 Art. 18; in America everything is a fifth larger."""
    low = _told([49.89] * 320)
    assert low[295] == () and low[310] == (Disturbance.ALERT_STATE,)
    assert not any(_told([49.92] * 320))
    assert _told([49.94] * 920)[-1] == (Disturbance.ALERT_STATE,)
    assert not any(_told([59.89] * 320, nominal_hz=60.0))


def _swinging(*, swing_hz: float, seconds: int, step_s: float, volts: float = 0.0, hertz: float = 0.0) -> int | None:
    """Return after how many seconds of a swing it is told."""
    random = np.random.default_rng(7)
    count = int((120 + seconds) / step_s)
    time_s = step_s * np.arange(count)
    wave = np.where(time_s < 120, 0.0, np.sin(2 * np.pi * swing_hz * time_s))
    mean = 230 * (1 + 0.0008 * random.standard_normal(count)) + volts * wave
    told = _told(
        list(50.0 + 0.001 * random.standard_normal(count) + hertz * wave),
        voltages_v=[(float(value),) * 3 for value in mean],
        step_s=step_s,
    )
    first = next((index for index, each in enumerate(told) if Disturbance.OSCILLATION in each), None)
    return None if first is None else int(first * step_s - 120)


@pytest.mark.parametrize(("swing_hz", "step_s"), [(0.12, 1.0), (0.22, 1.0), (0.38, 1.0), (0.133, 2.0), (0.19, 2.0)])
def test_a_swing_between_areas_is_told_within_a_minute(swing_hz: float, step_s: float) -> None:
    """In April 2025 such swings came half an hour before the blackout."""
    by_voltage = _swinging(swing_hz=swing_hz, seconds=70, step_s=step_s, volts=3.0)
    by_frequency = _swinging(swing_hz=swing_hz, seconds=70, step_s=step_s, hertz=0.03)
    assert by_voltage is not None and 0 < by_voltage <= 60
    assert by_frequency is not None and 0 < by_frequency <= 60
    assert _swinging(swing_hz=swing_hz, seconds=70, step_s=step_s) is None


def test_a_switched_load_and_a_slip_are_no_swing() -> None:
    """Steps and single wrong seconds hold ripple of every frequency."""
    steps = [(230.0 + 4.0 * (index // 45 % 2),) * 3 for index in range(300)]
    assert not any(_told([50.0] * 300, voltages_v=steps))
    slips = [50.5 if index % 40 == 20 else 50.0 for index in range(200)]
    assert not any(Disturbance.OSCILLATION in each for each in _told(slips))


def test_readings_too_seldom_for_a_swing_say_that_it_cannot_be_seen() -> None:
    """Silence of a detector that cannot see is not quiet."""
    for step_s, seen in ((1.0, True), (2.0, True), (5.0, False), (10.0, False)):
        state = SupplyState()
        for index in range(60):
            at = START + timedelta(seconds=step_s * index)
            sample = SupplySample(at=at, frequency_hz=50.0, voltage_v=(230.0,))
            state = take_supply(state, [sample], settings())
        assert (unobservable(state) == ()) is seen
        assert load_state(dump_state(EventState(supply=state))).supply == state


def test_a_voltage_that_climbs_on_all_phases_is_told_before_it_is_too_high() -> None:
    """The cascade of April 2025 was one of voltage."""
    calm = [(230.0,) * 3] * 500
    climb = [(230.0 + 0.15 * index,) * 3 for index in range(60)]
    told = _told(voltages_v=calm + climb)
    first = next(index for index, each in enumerate(told) if Disturbance.VOLTAGE_RISE in each)
    assert 500 < first < 540
    assert not any(_told(voltages_v=calm))
