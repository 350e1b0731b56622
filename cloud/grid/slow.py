"""Slow warnings of a supply: swings between areas, a voltage that climbs. Bounded memory, looked at every five seconds.

Samples a second apart show swings of 0.1 to 0.4 Hz, two seconds apart those up to 0.2 Hz. What is slower, or told only
by exception, shows none: then a swing is *not observable*, which is told, and never taken for quiet.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WINDOW_S: Final = 40.0
LOOK_EVERY_S: Final = 5.0
TOLD: Final = timedelta(seconds=60)
# Amplitudes of one swing, and the share of all ripple that it must hold: a switched load or a recorder's slip has many.
FREQUENCY_AMPLITUDE_PU: Final = 0.020 / 50.0
VOLTAGE_AMPLITUDE_PU: Final = 0.005
RIPPLE_SHARE: Final = 0.6
SWING_HZ_MIN: Final = 0.1
SWING_HZ_MAX_BY_STEP_S: Final = {1: 0.4, 2: 0.2}
FILLED_MIN: Final = 0.6
GAP_STEPS_MAX: Final = 3
SPACING_S_MIN: Final = 0.5  # What comes denser is thinned: the memory is bounded.
MEDIAN_STEP_S: Final = 10.0
MEDIAN_COUNT: Final = 60
# Source: tuned on the recording of Toledo of 28 April 2025, 11:00 to 12:10 (University of Oviedo).
RISE_IN_30_S_PU: Final = 0.012
RISE_OVER_MEDIAN_PU: Final = 0.015
RISE_ALONE_PU: Final = 0.045

Sample = tuple[float, float | None, float | None]


@dataclass(frozen=True, kw_only=True)
class SlowState:
    """The samples of the last 40 s (epoch second, frequency, voltage per unit), and a voltage each 10 s of 10 min."""

    samples: tuple[Sample, ...] = ()
    levels: tuple[tuple[float, float], ...] = ()
    looked_s: float = 0.0
    swing_until: datetime | None = None
    rise_until: datetime | None = None
    observable: bool = False


def take_slow(
    state: SlowState, *, at: datetime, frequency_pu: float | None, voltage_pu: tuple[float, ...]
) -> SlowState:
    """Take one sample; ``voltage_pu`` are the phases that carry a voltage."""
    now_s = at.timestamp()
    if state.samples and now_s - state.samples[-1][0] < SPACING_S_MIN:
        return state
    level = sum(voltage_pu) / len(voltage_pu) if voltage_pu else None
    samples = (*(one for one in state.samples if one[0] > now_s - WINDOW_S), (now_s, frequency_pu, level))
    levels = state.levels
    if level is not None and (not levels or now_s - levels[-1][0] >= MEDIAN_STEP_S):
        levels = (*levels, (now_s, level))[-MEDIAN_COUNT:]
        levels = tuple(one for one in levels if one[0] > now_s - MEDIAN_COUNT * MEDIAN_STEP_S)
    state = replace(state, samples=samples, levels=levels)
    if now_s - state.looked_s < LOOK_EVERY_S:
        return state
    swing, observable = _swing(samples, now_s)
    return replace(
        state,
        looked_s=now_s,
        observable=observable,
        swing_until=at + TOLD if swing else state.swing_until,
        rise_until=at + TOLD if _rises(samples, levels) else state.rise_until,
    )


def _swing(samples: tuple[Sample, ...], now_s: float) -> tuple[bool, bool]:
    """Return whether one swing stands out of the window, and whether it could be seen at all."""
    for step_s in SWING_HZ_MAX_BY_STEP_S:
        observable = False
        for column, least in ((1, FREQUENCY_AMPLITUDE_PU), (2, VOLTAGE_AMPLITUDE_PU)):
            values = _on_grid(samples, column, now_s=now_s, step_s=step_s)
            if values is None:
                continue
            observable = True
            amplitude, share = _largest(values, step_s)
            if amplitude >= least and share >= RIPPLE_SHARE:
                return True, True
        if observable:
            return False, True
    return False, False


def _on_grid(samples: tuple[Sample, ...], column: int, *, now_s: float, step_s: int) -> Floats | None:
    """Return one quantity each step of the window, a missed one held; ``None`` where too many are missed."""
    count = int(WINDOW_S) // step_s
    values = np.full(count, np.nan)
    for sample in samples:
        index = count - 1 - round((now_s - sample[0]) / step_s)
        value = sample[column]
        if 0 <= index < count and value is not None:
            values[index] = value
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < FILLED_MIN * count or np.diff(known, prepend=-1, append=count).max() > GAP_STEPS_MAX:
        return None
    held: Floats = values[np.maximum.accumulate(np.where(np.isfinite(values), np.arange(count), known[0]))]
    return held


def _largest(values: Floats, step_s: int) -> tuple[float, float]:
    """Return the amplitude of the swing that explains most of the ripple about a parabola, and its share of it."""
    trend, waves = _basis(len(values), step_s)
    ripple = values - trend @ (trend.T @ values)
    total = float(ripple @ ripple)
    if total <= 0:
        return 0.0, 0.0
    energy = np.square(np.einsum("wnk,n->wk", waves, ripple)).sum(axis=1)
    best = float(energy.max())
    return float(np.sqrt(2 * best / len(values))), best / total


@cache
def _basis(count: int, step_s: int) -> tuple[Floats, Floats]:
    """Return an orthonormal parabola, and an orthonormal pair of waves for each swing of the band, free of it."""
    x = np.linspace(-1, 1, count)
    trend = np.linalg.qr(np.stack([np.ones(count), x, x * x], axis=1))[0]
    time_s = step_s * np.arange(count)
    pairs = []
    for swing_hz in np.arange(SWING_HZ_MIN, SWING_HZ_MAX_BY_STEP_S[step_s] + 1e-9, 0.0125):
        angle = 2 * np.pi * swing_hz * time_s
        pair = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        pairs.append(np.linalg.qr(pair - trend @ (trend.T @ pair))[0].T)
    return trend, np.stack(pairs).transpose(0, 2, 1)


def _rises(samples: tuple[Sample, ...], levels: tuple[tuple[float, float], ...]) -> bool:
    """Return whether the mean of the phases climbs faster than loads on a line make it."""
    known = [(at_s, level) for at_s, _, level in samples if level is not None]
    if not known or len(levels) < 0.8 * MEDIAN_COUNT:
        return False
    newest_s, newest = known[-1]
    before = [level for at_s, level in known if newest_s - at_s <= 30]
    over_median = newest / float(np.median([level for _, level in levels])) - 1
    return over_median > RISE_ALONE_PU or (
        over_median > RISE_OVER_MEDIAN_PU and newest / min(before) - 1 > RISE_IN_30_S_PU
    )


def slow_until(state: SlowState, at: datetime | None) -> tuple[bool, bool]:
    """Return whether a swing and a rise are still told at an instant."""
    at = datetime.max.replace(tzinfo=UTC) if at is None else at
    return (
        state.swing_until is not None and at < state.swing_until,
        state.rise_until is not None and at < state.rise_until,
    )
