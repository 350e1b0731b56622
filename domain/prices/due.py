"""Until when published prices should be known by now, and until when they are."""

from collections.abc import Container
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from contracts.units import DELIVERY_INTERVAL

_DAY: Final = timedelta(days=1)
# A zone's day may end two hours before UTC's.
_ZONE_DAY_ENDS_EARLIER: Final = timedelta(hours=2)


def due_until(at: datetime, *, clock: tzinfo, publishes_at_hour_utc: int) -> datetime:
    """Return until when prices should be known: to the end of the zone's day, or of the next once it is published.

    Args:
        at: Now.
        clock: On the zone's wall; its offset of now holds.
        publishes_at_hour_utc: When those of the next day may be expected; before it today's are enough.
    """
    offset = at.astimezone(clock).utcoffset() or timedelta(0)
    midnight = (at.astimezone(UTC) + offset).replace(hour=0, minute=0, second=0, microsecond=0) - offset
    published = at.astimezone(UTC).hour >= publishes_at_hour_utc
    return midnight + (2 if published else 1) * _DAY - _ZONE_DAY_ENDS_EARLIER


def known_until(prices: Container[datetime], begin: datetime) -> datetime:
    """Return the start of the first delivery interval from ``begin`` on whose price is not known."""
    while begin in prices:
        begin += DELIVERY_INTERVAL
    return begin
