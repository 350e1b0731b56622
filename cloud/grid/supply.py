"""What the supply at a feeder's meter suffers from: frequency and voltage, watched beside its loading.

It is told, not acted on. A frequency is supported within a second by the devices themselves (Regulation (EU) 2016/631,
limited frequency sensitive modes); readings that take up to a minute to arrive must not steer against them.
Gateways report a frequency in steps of 10 mHz and a voltage in steps of 0.5 V; a finer ripple cannot be seen from here,
and where readings come too seldom for a swing between areas, that is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cloud.grid.model import GridSettings
from cloud.grid.monitor import (
    Interruption,
    RocofRule,
    RocofState,
    SustainRule,
    SustainState,
    VoltageBand,
    alert_rules,
    interruption,
    over_frequency_rule,
    under_frequency_rule,
    voltage_band,
    watch,
    watch_rocof,
)
from cloud.grid.slow import SlowState, slow_until, take_slow
from contracts.grid import Disturbance

# How long a rate of change is told after it was seen: the rate itself is over in a moment.
RATE_TOLD = timedelta(seconds=60)
_VOLTAGE_AFTER_S = 60.0
# A gateway is silent about a voltage that stays within its dead band, for up to five minutes.
_VOLTAGE_GAP_S = 400.0


@dataclass(frozen=True, kw_only=True)
class SupplySample:
    """One reading of the supply; what was not read, or not well, is ``None``.

    ``held`` marks a value that the gateway did not send again because it had not changed by more than its dead band.
    Voltages are those of the phases that were read, against neutral.
    """

    at: datetime
    frequency_hz: float | None = None
    voltage_v: tuple[float, ...] = ()
    held: bool = False


@dataclass(frozen=True, kw_only=True)
class SupplyState:
    """What the detectors remember."""

    under: SustainState = field(default_factory=SustainState)
    over: SustainState = field(default_factory=SustainState)
    low: SustainState = field(default_factory=SustainState)
    high: SustainState = field(default_factory=SustainState)
    rate: RocofState = field(default_factory=RocofState)
    rate_until: datetime | None = None
    alert: SustainState = field(default_factory=SustainState)
    alert_long: SustainState = field(default_factory=SustainState)
    outage: SustainState = field(default_factory=SustainState)
    phase_lost: SustainState = field(default_factory=SustainState)
    neutral_lost: SustainState = field(default_factory=SustainState)
    slow: SlowState = field(default_factory=SlowState)
    at: datetime | None = None


def take_supply(state: SupplyState, samples: Sequence[SupplySample], settings: GridSettings) -> SupplyState:
    """Return the detectors after the samples, which are in time order; what is not newer changes nothing."""
    for sample in samples:
        if state.at is None or sample.at > state.at:
            state = _voltage(_frequency(replace(state, at=sample.at), sample, settings), sample, settings)
            state = _slow(_interruption(state, sample, settings), sample, settings)
    return state


def disturbances(state: SupplyState) -> tuple[Disturbance, ...]:
    """Return what the supply suffers from as of its last sample."""
    rate = state.rate_until is not None and state.at is not None and state.at < state.rate_until
    swing, rise = slow_until(state.slow, state.at)
    standing = {
        Disturbance.OUTAGE: state.outage.raised,
        Disturbance.PHASE_LOST: state.phase_lost.raised,
        Disturbance.NEUTRAL_LOST: state.neutral_lost.raised,
        Disturbance.UNDER_FREQUENCY: state.under.raised,
        Disturbance.OVER_FREQUENCY: state.over.raised,
        Disturbance.FREQUENCY_RATE: rate,
        Disturbance.LOW_VOLTAGE: state.low.raised,
        Disturbance.HIGH_VOLTAGE: state.high.raised,
        Disturbance.ALERT_STATE: state.alert.raised or state.alert_long.raised,
        Disturbance.OSCILLATION: swing,
        Disturbance.VOLTAGE_RISE: rise,
    }
    return tuple(disturbance for disturbance, stands in standing.items() if stands)


def unobservable(state: SupplyState) -> tuple[Disturbance, ...]:
    """Return what the readings could not show, so that its absence says nothing."""
    return () if state.slow.observable else (Disturbance.OSCILLATION,)


def _frequency(state: SupplyState, sample: SupplySample, settings: GridSettings) -> SupplyState:
    if sample.frequency_hz is None:
        return state
    # Where nothing is connected, a frequency is a number without a meaning.
    if sample.voltage_v and not _live(sample, settings):
        return replace(state, rate=RocofState())
    value, at = sample.frequency_hz, sample.at
    under, _ = watch(state.under, value=value, at=at, rule=under_frequency_rule(nominal_hz=settings.nominal_hz))
    over, _ = watch(state.over, value=value, at=at, rule=over_frequency_rule(nominal_hz=settings.nominal_hz))
    deviation = abs(value - settings.nominal_hz)
    short_rule, long_rule = alert_rules(nominal_hz=settings.nominal_hz)
    alert, _ = watch(state.alert, value=deviation, at=at, rule=short_rule)
    alert_long, _ = watch(state.alert_long, value=deviation, at=at, rule=long_rule)
    state = replace(state, under=under, over=over, alert=alert, alert_long=alert_long)
    if sample.held:
        return state
    rate, alarm = watch_rocof(state.rate, frequency_hz=value, at=at, rule=RocofRule())
    until = state.rate_until
    if alarm is not None:
        until = at + RATE_TOLD
    return replace(state, rate=rate, rate_until=until)


def _voltage(state: SupplyState, sample: SupplySample, settings: GridSettings) -> SupplyState:
    """Take the worst phase each way, of those that carry a voltage: a dead one blinds nobody to the others.

    Source: EN 50160 clause 4.2.2, 0.90 to 1.10 of nominal as a mean; a minute of readings stands for it.
    """
    bands = {voltage_band(voltage) for voltage in _live(sample, settings)}
    if not bands:
        return state
    low, _ = watch(state.low, value=float(VoltageBand.LOW in bands), at=sample.at, rule=_STANDS)
    high, _ = watch(state.high, value=float(VoltageBand.HIGH in bands), at=sample.at, rule=_STANDS)
    return replace(state, low=low, high=high)


def _interruption(state: SupplyState, sample: SupplySample, settings: GridSettings) -> SupplyState:
    """Tell within three seconds what is missing; one reading alone may be a slip."""
    if not sample.voltage_v:
        return state
    missing = interruption(tuple(volts / settings.nominal_v for volts in sample.voltage_v))

    def seen(watched: SustainState, kind: Interruption) -> SustainState:
        return watch(watched, value=float(missing is kind), at=sample.at, rule=_MISSES)[0]

    return replace(
        state,
        outage=seen(state.outage, Interruption.OUTAGE),
        phase_lost=seen(state.phase_lost, Interruption.PHASE_LOST),
        neutral_lost=seen(state.neutral_lost, Interruption.NEUTRAL_LOST),
    )


def _slow(state: SupplyState, sample: SupplySample, settings: GridSettings) -> SupplyState:
    live = _live(sample, settings)
    if sample.voltage_v and not live:
        return state
    frequency_pu = None if sample.frequency_hz is None else sample.frequency_hz / settings.nominal_hz
    slow = take_slow(state.slow, at=sample.at, frequency_pu=frequency_pu, voltage_pu=live)
    return replace(state, slow=slow)


def _live(sample: SupplySample, settings: GridSettings) -> tuple[float, ...]:
    """Return the voltages per unit of the phases that carry one."""
    voltages = (volts / settings.nominal_v for volts in sample.voltage_v)
    return tuple(voltage for voltage in voltages if voltage_band(voltage) is not VoltageBand.DEAD)


_STANDS = SustainRule(
    bound=0.5, raise_after_s=_VOLTAGE_AFTER_S, clear_after_s=_VOLTAGE_AFTER_S, gap_s_max=_VOLTAGE_GAP_S
)
_MISSES = SustainRule(bound=0.5, raise_after_s=1.0, clear_after_s=10.0, gap_s_max=10.0)
