"""The swing of a voltage against what is none: noise, a step, a ramp, a gap."""

import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cloud.grid.monitor import Alarm
from cloud.grid.swing import SwingRule, SwingState, watch_swing

T0 = datetime(2026, 6, 1, 12, tzinfo=UTC)


def said(voltage_pu: Callable[[int], float | None], *, seconds: int = 300) -> list[tuple[int, Alarm]]:
    """Return what the detector says of a voltage sampled each second."""
    state = SwingState()
    found: list[tuple[int, Alarm]] = []
    for second in range(seconds):
        state, alarm = watch_swing(
            state, voltage_pu=voltage_pu(second), at=T0 + timedelta(seconds=second), rule=SwingRule()
        )
        if alarm is not Alarm.NONE:
            found.append((second, alarm))
    return found


def test_a_swing_is_raised_within_half_a_minute_and_cleared_after_it() -> None:
    """Minutes of warning are worth something only if they are told."""
    alarms = said(lambda second: 1 + (0.015 * math.sin(2 * math.pi * 0.2 * second) if 60 < second < 160 else 0.0))
    assert [alarm for _, alarm in alarms] == [Alarm.RAISED, Alarm.CLEARED]
    assert 70 <= alarms[0][0] <= 95 and alarms[1][0] > 160


def test_noise_a_step_and_a_ramp_are_no_swing() -> None:
    """A tap changer steps, the morning ramps; neither turns."""
    noise = random.Random(1)
    assert said(lambda _: 1 + noise.gauss(0, 0.002)) == []
    assert said(lambda second: 1.0 if second < 100 else 1.03) == []
    assert said(lambda second: 1.0 + 0.0005 * second) == []


def test_missing_samples_say_nothing() -> None:
    """A meter that stops is not a grid that is calm or not."""
    assert said(lambda second: None if second % 2 else 1.0) == []
    state = SwingState(voltage_pu=1.0, at=T0, trend_pu=1.0, square_pu2=1.0)
    state, alarm = watch_swing(state, voltage_pu=1.0, at=T0 + timedelta(seconds=60), rule=SwingRule())
    assert alarm is Alarm.NONE and state.deviation_pu == 0
