"""Signs, units, identifiers and delivery intervals that every message shares.

Power is positive into the asset: import and charging are positive, export, generation and discharging negative. The
connection point equals the sum of its assets.

Energy is an integer in Wh. Prices are integers in thousandths of a cent per kWh (``mct_per_kwh``; 1 EUR/MWh = 100).
Energy times price is exact in millionths of a cent (``uct``), the unit of every ledger line.

Instants are aware UTC in Python and epoch milliseconds on the wire. Durations are seconds of a monotonic clock.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, StringConstraints, WithJsonSchema

from contracts.quality import Quality as Quality  # noqa: PLC0414 (so that it can be had from here as well)

DELIVERY_INTERVAL_S = 900
DELIVERY_INTERVAL = timedelta(seconds=DELIVERY_INTERVAL_S)
UCT_PER_CENT = 1_000_000

# One topic level each, and within the 128 bytes of an IoT client id.
SiteId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
ZoneId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class ClockTrust(StrEnum):
    """How far the wall clock may be trusted: orders and signed evidence need ``SYNCED`` or ``HOLDOVER``."""

    SYNCED = "synced"
    HOLDOVER = "holdover"
    UNTRUSTED = "untrusted"


def epoch_ms(instant: datetime) -> int:
    """Return the epoch milliseconds of an aware instant, exact, rounded down."""
    return (instant - _EPOCH) // _MILLISECOND


def instant(milliseconds: int) -> datetime:
    """Return the aware UTC instant of epoch milliseconds."""
    return _EPOCH + milliseconds * _MILLISECOND


def _read_instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        return value.astimezone(UTC)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53:
        try:
            return instant(value)
        except OverflowError as error:
            raise ValueError("epoch milliseconds out of range") from error
    raise ValueError("an instant is a whole number of epoch milliseconds")


# Aware UTC in Python, epoch milliseconds on the wire.
Instant = Annotated[
    datetime,
    BeforeValidator(_read_instant),
    PlainSerializer(epoch_ms, return_type=int),
    WithJsonSchema({"type": "integer", "title": "epoch milliseconds", "minimum": 0}),
]


@dataclass(frozen=True, order=True)
class DeliveryInterval:
    """A half-open span ``[start, end)`` of 15 minutes, aligned to UTC.

    Raises:
        ValueError: The start is not aligned to a quarter of an hour.
    """

    start: datetime

    def __post_init__(self) -> None:
        if epoch_ms(self.start) % (DELIVERY_INTERVAL_S * 1000):
            raise ValueError(f"delivery interval starts at {self.start.isoformat()}, not on a quarter of an hour")

    @classmethod
    def containing(cls, instant_: datetime) -> "DeliveryInterval":
        """Return the interval in which an instant lies."""
        milliseconds = epoch_ms(instant_)
        return cls(instant(milliseconds - milliseconds % (DELIVERY_INTERVAL_S * 1000)))

    @property
    def end(self) -> datetime:
        """Return the first instant after the interval."""
        return self.start + DELIVERY_INTERVAL

    def later(self, intervals: int) -> "DeliveryInterval":
        """Return the interval that starts so many intervals later (earlier when negative)."""
        return DeliveryInterval(self.start + intervals * DELIVERY_INTERVAL)
