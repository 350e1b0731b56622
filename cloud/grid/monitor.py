"""What is wrong with the grid right now: streaming detectors of constant cost and constant memory.

Each detector takes its own state, one sample and a rule, and returns the new state with what it says. States are plain
frozen values, so that a function without a memory of its own can keep them in a store. A gap in the data proves
nothing, so it ends every run that a detector was counting.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class Alarm(StrEnum):
    """What a detector says after a sample: nothing new, it begins, it ends."""

    NONE = "none"
    RAISED = "raised"
    CLEARED = "cleared"


@dataclass(frozen=True, kw_only=True)
class SustainRule:
    """A bound that must be passed for a while, and left by a margin for a while.

    ``above`` is true where values above the bound are wrong. ``hysteresis`` and ``bound`` share the unit of the value.

    Raises:
        ValueError: A duration or the hysteresis is negative.
    """

    bound: float
    above: bool = True
    hysteresis: float = 0.0
    raise_after_s: float = 5.0
    clear_after_s: float = 30.0
    gap_s_max: float = 10.0

    def __post_init__(self) -> None:
        for name in ("hysteresis", "raise_after_s", "clear_after_s", "gap_s_max"):
            value = getattr(self, name)
            if not value >= 0:
                raise ValueError(f"rule has {name} {value}, below 0")


@dataclass(frozen=True, kw_only=True)
class SustainState:
    """Since when the value has been wrong or right, and whether the alarm stands."""

    raised: bool = False
    since_at: datetime | None = None
    last_at: datetime | None = None


def watch(state: SustainState, *, value: float | None, at: datetime, rule: SustainRule) -> tuple[SustainState, Alarm]:
    """Take one sample of a value that must not stay beyond a bound.

    The alarm is raised once the value has been beyond the bound for ``raise_after_s`` without a gap, and cleared once
    it has been inside the bound by the hysteresis for ``clear_after_s``. A missing value and a step back in time
    change nothing but end the run that was being counted.

    Source: definite-time overload protection with drop-off ratio (IEC 60255-151, definite time characteristic).
    """
    if value is None or not math.isfinite(value):
        return replace(state, since_at=None), Alarm.NONE
    if state.last_at is not None and at <= state.last_at:
        return state, Alarm.NONE
    gap = state.last_at is not None and (at - state.last_at).total_seconds() > rule.gap_s_max
    excess = value - rule.bound if rule.above else rule.bound - value
    counts = excess < -rule.hysteresis if state.raised else excess > 0
    if not counts:
        return replace(state, since_at=None, last_at=at), Alarm.NONE
    since_at = at if state.since_at is None or gap else state.since_at
    needed_s = rule.clear_after_s if state.raised else rule.raise_after_s
    if (at - since_at).total_seconds() < needed_s:
        return replace(state, since_at=since_at, last_at=at), Alarm.NONE
    alarm = Alarm.CLEARED if state.raised else Alarm.RAISED
    return SustainState(raised=not state.raised, since_at=None, last_at=at), alarm


def under_frequency_rule(*, nominal_hz: float = 50.0) -> SustainRule:
    """Return the rule of a frequency that calls for limited-frequency-sensitive support at under-frequency.

    Source: Regulation (EU) 2016/631 Art. 15(2)(c), LFSM-U threshold 49.8 to 49.5 Hz, of which the upper end is the
    usual setting; scaled for other nominal frequencies.
    """
    return SustainRule(
        bound=nominal_hz * 49.8 / 50.0,
        above=False,
        hysteresis=nominal_hz * 0.05 / 50.0,
        raise_after_s=1.0,
        clear_after_s=30.0,
        gap_s_max=5.0,
    )


def over_frequency_rule(*, nominal_hz: float = 50.0) -> SustainRule:
    """Return the rule of a frequency that calls for limited-frequency-sensitive support at over-frequency.

    Source: Regulation (EU) 2016/631 Art. 13(2)(b), LFSM-O threshold 50.2 to 50.5 Hz, of which the lower end is the
    usual setting; scaled for other nominal frequencies.
    """
    return SustainRule(
        bound=nominal_hz * 50.2 / 50.0,
        hysteresis=nominal_hz * 0.05 / 50.0,
        raise_after_s=1.0,
        clear_after_s=30.0,
        gap_s_max=5.0,
    )


def alert_rules(*, nominal_hz: float = 50.0) -> tuple[SustainRule, SustainRule]:
    """Return the rules of a frequency's deviation without sign that put a system into the alert state.

    Source: Regulation (EU) 2017/1485 Art. 18(2)(c): beyond half of the largest steady-state deviation (200 mHz) for 5
    min, or beyond the standard range (50 mHz) for 15 min; scaled for other nominal frequencies.
    """
    scale = nominal_hz / 50.0
    short = SustainRule(bound=0.1 * scale, hysteresis=0.02 * scale, raise_after_s=300.0, gap_s_max=60.0)
    long = SustainRule(bound=0.05 * scale, hysteresis=0.01 * scale, raise_after_s=900.0, gap_s_max=60.0)
    return short, long


@dataclass(frozen=True, kw_only=True)
class RocofRule:
    """When the frequency changes too fast.

    Two consecutive differences of the same sign must pass the limit: a recorder slip of one sample gives two of
    opposite sign. Differences beyond ``plausible_hz_per_s`` are the recorder's and end the run.

    Source: loss-of-mains practice, 1 Hz/s (ENA Engineering Recommendation G99), confirmed over at least 500 ms.
    """

    limit_hz_per_s: float = 1.0
    plausible_hz_per_s: float = 5.0
    gap_s_max: float = 3.0


@dataclass(frozen=True, kw_only=True)
class RocofState:
    """The last sample and the last rate."""

    frequency_hz: float | None = None
    at: datetime | None = None
    rate_hz_per_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class RocofAlarm:
    """A rate over a window of two differences."""

    rate_hz_per_s: float
    window_s: float


def watch_rocof(
    state: RocofState, *, frequency_hz: float | None, at: datetime, rule: RocofRule
) -> tuple[RocofState, RocofAlarm | None]:
    """Take one frequency and report a rate of change that two consecutive differences agree on."""
    if frequency_hz is None or not math.isfinite(frequency_hz):
        return RocofState(), None
    fresh = RocofState(frequency_hz=frequency_hz, at=at)
    if state.frequency_hz is None or state.at is None:
        return fresh, None
    elapsed_s = (at - state.at).total_seconds()
    if elapsed_s <= 0:
        return state, None
    rate = (frequency_hz - state.frequency_hz) / elapsed_s
    if elapsed_s > rule.gap_s_max or abs(rate) > rule.plausible_hz_per_s:
        return fresh, None
    seen = replace(fresh, rate_hz_per_s=rate)
    previous = state.rate_hz_per_s
    if previous is None or previous * rate <= 0 or min(abs(previous), abs(rate)) <= rule.limit_hz_per_s:
        return seen, None
    return seen, RocofAlarm(rate_hz_per_s=(previous + rate) / 2, window_s=2 * elapsed_s)


class VoltageBand(StrEnum):
    """Where a voltage lies."""

    NORMAL = "normal"
    PLANNING_LOW = "planning_low"
    PLANNING_HIGH = "planning_high"
    LOW = "low"
    HIGH = "high"
    DEAD = "dead"


def voltage_band(voltage_pu: float) -> VoltageBand:
    """Return the band of a voltage relative to nominal.

    Below half of nominal nothing is connected, and a frequency reported beside it is a number without a meaning.

    Source: EN 50160 clause 4.2.2, 0.90 to 1.10; planning band 0.94 to 1.06.
    """
    if voltage_pu < 0.5:
        return VoltageBand.DEAD
    if voltage_pu < 0.90:
        return VoltageBand.LOW
    if voltage_pu > 1.10:
        return VoltageBand.HIGH
    if voltage_pu < 0.94:
        return VoltageBand.PLANNING_LOW
    return VoltageBand.PLANNING_HIGH if voltage_pu > 1.06 else VoltageBand.NORMAL


class Interruption(StrEnum):
    """What is missing of a supply."""

    OUTAGE = "outage"
    PHASE_LOST = "phase_lost"
    NEUTRAL_LOST = "neutral_lost"


def interruption(voltages_pu: tuple[float, ...]) -> Interruption | None:
    """Return what the voltages of the phases against neutral say is missing.

    A lost neutral lets the star point wander: one phase sinks while another climbs, beyond what loads on a line do. A
    phase that fails above a delta-star transformer leaves two of three at about half.

    Source: geometry of a displaced star point; EN 50160 clause 4.2.2 for the band that ordinary loads keep.
    """
    if not voltages_pu:
        return None
    low, high = min(voltages_pu), max(voltages_pu)
    if high < 0.5:
        return Interruption.OUTAGE
    if low < 0.9 and high > 1.1 and high - low > 0.25 and (low >= 0.5 or high > 1.2):
        return Interruption.NEUTRAL_LOST
    weak = sum(1 for voltage in voltages_pu if voltage < 0.65)
    if low < 0.5 or (weak == 2 and high >= 0.85):
        return Interruption.PHASE_LOST
    return None
