"""The detectors against rules, recorder faults and gaps."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.grid.monitor import (
    Alarm,
    RocofAlarm,
    RocofRule,
    RocofState,
    SustainRule,
    SustainState,
    VoltageBand,
    under_frequency_rule,
    voltage_band,
    watch,
    watch_rocof,
)

T0 = datetime(2026, 6, 1, 12, tzinfo=UTC)
RULE = SustainRule(bound=100.0, hysteresis=5.0, raise_after_s=5, clear_after_s=10, gap_s_max=3)


def at(second: float) -> datetime:
    """Return an instant."""
    return T0 + timedelta(seconds=second)


def alarms(values: list[float | None], rule: SustainRule = RULE, *, step_s: float = 1.0) -> dict[float, Alarm]:
    """Return what the detector says, by second, where it says anything."""
    state = SustainState()
    said: dict[float, Alarm] = {}
    for index, value in enumerate(values):
        state, alarm = watch(state, value=value, at=at(index * step_s), rule=rule)
        if alarm is not Alarm.NONE:
            said[index * step_s] = alarm
    return said


def test_overload_is_raised_after_its_time_and_not_before() -> None:
    """A motor's start of four seconds is no overload."""
    assert alarms([90, *[120] * 5, 90]) == {}
    assert alarms([90, *[120] * 6]) == {6: Alarm.RAISED}


def test_overload_is_cleared_only_below_the_hysteresis() -> None:
    """A loading that hovers at the limit must not switch sites on and off."""
    assert alarms([*[120] * 6, *[97] * 40]) == {5: Alarm.RAISED}
    assert alarms([*[120] * 6, *[94] * 11]) == {5: Alarm.RAISED, 16: Alarm.CLEARED}


def test_a_gap_or_a_missing_value_ends_the_run() -> None:
    """Nothing is known of a second that was not measured."""
    assert alarms([*[120] * 5, None, *[120] * 5]) == {}
    assert alarms([120, 120], step_s=10) == {}
    assert alarms([*[120.0] * 4, math.nan, *[120] * 5]) == {}


def test_a_repeated_or_older_sample_changes_nothing() -> None:
    """Delivery at least once repeats samples."""
    state, _ = watch(SustainState(), value=120, at=at(5), rule=RULE)
    assert watch(state, value=80, at=at(5), rule=RULE) == (state, Alarm.NONE)
    assert watch(state, value=80, at=at(4), rule=RULE) == (state, Alarm.NONE)


@given(st.lists(st.floats(0, 100), max_size=60))
def test_values_within_the_bound_never_alarm(values: list[float]) -> None:
    """The law of the detector."""
    assert alarms(list(values)) == {}


def test_under_frequency_follows_the_nominal_frequency() -> None:
    """A 60-Hz grid at 59.9 is well; at 59.7 it is not."""
    rule = under_frequency_rule(nominal_hz=60)
    assert alarms([59.9] * 10, rule) == {}
    assert alarms([59.7] * 3, rule) == {1: Alarm.RAISED}


def test_a_rule_with_a_negative_time_is_refused() -> None:
    """A negative time would alarm at once."""
    with pytest.raises(ValueError, match="raise_after_s -1"):
        SustainRule(bound=1, raise_after_s=-1)


def rocof(frequencies: list[float], *, step_s: float = 0.5) -> list[RocofAlarm]:
    """Return what the detector says of samples half a second apart."""
    state, found = RocofState(), []
    for index, frequency in enumerate(frequencies):
        state, alarm = watch_rocof(state, frequency_hz=frequency, at=at(index * step_s), rule=RocofRule())
        if alarm is not None:
            found.append(alarm)
    return found


def test_two_falling_differences_raise_rocof_with_its_window() -> None:
    """A rate without its window says nothing."""
    (alarm,) = rocof([50.0, 49.3, 48.6])
    assert alarm.rate_hz_per_s == pytest.approx(-1.4)
    assert alarm.window_s == 1.0


def test_a_recorder_slip_does_not_raise_rocof() -> None:
    """A half-cycle slip is one sample off and back: two differences of opposite sign."""
    assert rocof([50.0, 50.0, 50.5, 50.0, 50.0, 50.0], step_s=1.0) == []
    assert rocof([50.0, 50.9, 50.0, 50.9, 50.0]) == []


@pytest.mark.parametrize(
    ("voltage_pu", "band"),
    [
        (0.0, VoltageBand.DEAD),
        (0.49, VoltageBand.DEAD),
        (0.89, VoltageBand.LOW),
        (0.92, VoltageBand.PLANNING_LOW),
        (1.0, VoltageBand.NORMAL),
        (1.08, VoltageBand.PLANNING_HIGH),
        (1.11, VoltageBand.HIGH),
    ],
)
def test_voltage_has_a_band(voltage_pu: float, band: VoltageBand) -> None:
    """A dead bus is not a low voltage: its frequency is a number without a meaning."""
    assert voltage_band(voltage_pu) is band
