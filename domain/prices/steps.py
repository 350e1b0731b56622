"""Published prices as steps of time, and the same by delivery interval.

Prices are whole thousandths of a cent per kWh of the zone's currency: 1 EUR/MWh is 100.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from contracts.units import DELIVERY_INTERVAL, DeliveryInterval

# Well beyond the harmonised limits of the day-ahead auction (-500 and 5000 EUR/MWh); beyond it a unit was mistaken.
PRICE_EUR_PER_MWH_MIN: Final = -1000.0
PRICE_EUR_PER_MWH_MAX: Final = 10_000.0
STEPS_MAX: Final = 20_000  # Half a year of quarters; no answer that we ask for holds so many.
STEP_MAX: Final = timedelta(days=1)


class PriceFault(ValueError):
    """An answer does not hold what its provider documents; nothing of it is used. Asking again may help."""


@dataclass(frozen=True, kw_only=True)
class PriceStep:
    """One published price over ``[start, end)``."""

    start: datetime
    end: datetime
    price_mct_per_kwh: int


Prices = Mapping[datetime, int]
_HOUR: Final = timedelta(hours=1)


def from_per_mwh(price: object, *, where: str) -> int:
    """Return a price per MWh in thousandths of a cent per kWh.

    Raises:
        PriceFault: It is no finite number or lies beyond what an auction can clear at.
    """
    if isinstance(price, bool) or not isinstance(price, int | float) or not math.isfinite(price):
        raise PriceFault(f"{where}: price {price!r} is no number; the answer is not used")
    if not PRICE_EUR_PER_MWH_MIN <= price <= PRICE_EUR_PER_MWH_MAX:
        raise PriceFault(
            f"{where}: price {price} per MWh is outside {PRICE_EUR_PER_MWH_MIN:g} to {PRICE_EUR_PER_MWH_MAX:g}; "
            "the answer is not used"
        )
    return round(price * 100)


def by_interval(steps: Iterable[PriceStep]) -> dict[datetime, int]:
    """Return the price of each delivery interval: an hour's price holds in its four quarters.

    Raises:
        PriceFault: A step is not made of whole delivery intervals, is longer than a day, overlaps one of another
            price, or there are too many.
    """
    prices: dict[datetime, int] = {}
    for count, step in enumerate(steps):
        if count >= STEPS_MAX:
            raise PriceFault(f"more than {STEPS_MAX} prices; the answer is not used")
        if not step.start < step.end <= step.start + STEP_MAX:
            raise PriceFault(
                f"price from {step.start:%Y-%m-%dT%H:%MZ} to {step.end:%Y-%m-%dT%H:%MZ}; must be up to a day"
            )
        at = step.start
        while at < step.end:
            if DeliveryInterval.containing(at).start != at or at + DELIVERY_INTERVAL > step.end:
                raise PriceFault(f"price from {step.start.isoformat()} is not of whole quarters of an hour")
            if prices.setdefault(at, step.price_mct_per_kwh) != step.price_mct_per_kwh:
                raise PriceFault(f"two prices of {at:%Y-%m-%dT%H:%MZ}; the answer is not used")
            at += DELIVERY_INTERVAL
    return prices


def ends_of(starts: Sequence[datetime]) -> list[datetime]:
    """Return where each step ends whose start alone is told: at the next one, and never later than an hour.

    A single longer gap between steps of one length is a hole, which no price fills; the last step is as long as the
    one before.

    Raises:
        PriceFault: The starts do not rise.
    """
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    if any(gap <= timedelta(0) for gap in gaps):
        raise PriceFault("prices are not in the order of time; the answer is not used")
    lengths = [min(gap, _HOUR) for gap in gaps]
    for index in range(1, len(gaps) - 1):
        if gaps[index] > gaps[index - 1] == gaps[index + 1]:
            lengths[index] = lengths[index - 1]
    lengths.append(lengths[-1] if lengths else _HOUR)
    return [start + length for start, length in zip(starts, lengths[: len(starts)], strict=True)]


def instant_of(text: object, *, where: str) -> datetime:
    """Return an ISO 8601 instant that names its offset.

    Raises:
        PriceFault: It is none.
    """
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise PriceFault(f"{where}: {str(text)[:40]!r} is no instant; the answer is not used") from error
    if at.tzinfo is None:
        raise PriceFault(f"{where}: {str(text)[:40]!r} names no time zone; the answer is not used")
    return at.astimezone(UTC)


def instant_s(seconds: object, *, where: str) -> datetime:
    """Return the instant of epoch seconds.

    Raises:
        PriceFault: They are no number of this century.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 2**32:
        raise PriceFault(f"{where}: {str(seconds)[:40]} is no epoch second; the answer is not used")
    return datetime.fromtimestamp(seconds, UTC)
