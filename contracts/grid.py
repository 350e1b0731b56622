"""The public state of a feeder, and the record of a demand-response event."""

from enum import StrEnum

from pydantic import Field

from contracts.units import Id, Instant, LimitW, Measured, SiteId, ZoneId
from contracts.wire import Message


class FeederState(StrEnum):
    """What the grid agent is doing about a feeder."""

    NORMAL = "normal"
    OVERLOADED = "overloaded"
    LIMITING = "limiting"
    RELEASING = "releasing"


class Disturbance(StrEnum):
    """What the supply at a feeder's meter suffers from."""

    UNDER_FREQUENCY = "under_frequency"
    OVER_FREQUENCY = "over_frequency"
    FREQUENCY_RATE = "frequency_rate"
    LOW_VOLTAGE = "low_voltage"
    HIGH_VOLTAGE = "high_voltage"
    OUTAGE = "outage"
    PHASE_LOST = "phase_lost"
    NEUTRAL_LOST = "neutral_lost"
    NO_READING = "no_reading"
    ALERT_STATE = "alert_state"
    OSCILLATION = "oscillation"
    VOLTAGE_RISE = "voltage_rise"


class GridBroadcast(Message):
    """The state of one feeder; power is positive from the grid into the feeder.

    ``disturbances`` are for those who look: devices answer to frequency and voltage by themselves. ``unobservable``
    names those that the readings are too slow or too few to show: their absence above says nothing.
    """

    zone: ZoneId
    feeder: SiteId
    at: Instant
    state: FeederState
    power_w: Measured | None = None
    limit_w: LimitW
    event_id: Id | None = None
    disturbances: tuple[Disturbance, ...] = Field(default=(), max_length=16)
    unobservable: tuple[Disturbance, ...] = Field(default=(), max_length=16)
