"""Published power by delivery interval: the zone's load, and what its wind and sun will generate, in MW."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from contracts.units import DELIVERY_INTERVAL, DeliveryInterval

# Above the largest synchronous area's load, and above any zone's wind and sun.
POWER_MW_MAX: Final = 1_000_000.0
STEPS_MAX: Final = 40_000  # A year of quarters; no answer that we ask for holds so many.


class Quantity(StrEnum):
    """What is published of a zone; the order is that of the price model's columns."""

    LOAD = "load"
    WIND_AND_SUN = "wind_and_sun"


class PublishedFault(ValueError):
    """An answer does not hold what its provider documents; nothing of it is used. Asking again may help."""


@dataclass(frozen=True, kw_only=True)
class PowerStep:
    """Published mean power over ``[start, end)``."""

    start: datetime
    end: datetime
    power_mw: float


Powers = Mapping[datetime, float]


def power_of(value: object, *, where: str) -> float:
    """Return a published power in MW.

    Raises:
        PublishedFault: It is no finite number or beyond any zone's.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PublishedFault(f"{where}: power {value!r} is no number; the answer is not used")
    # Night's sun is told slightly negative by some; what is well below nothing is another quantity.
    if not -POWER_MW_MAX / 100 <= value <= POWER_MW_MAX:
        raise PublishedFault(f"{where}: power {value} MW is beyond {POWER_MW_MAX:g}; the answer is not used")
    return float(value)


def by_interval(steps: Iterable[PowerStep]) -> dict[datetime, float]:
    """Return the power of each delivery interval; an hour's holds in its four quarters.

    Raises:
        PublishedFault: A step is not made of whole delivery intervals, or there are too many.
    """
    powers: dict[datetime, float] = {}
    for step in steps:
        at = step.start
        if DeliveryInterval.containing(at).start != at or (step.end - at) % DELIVERY_INTERVAL:
            raise PublishedFault(f"power from {at.isoformat()} is not of whole quarters of an hour; not used")
        while at < step.end:
            powers[at] = step.power_mw
            at += DELIVERY_INTERVAL
            if len(powers) > STEPS_MAX:
                raise PublishedFault(f"more than {STEPS_MAX} quarters of power; the answer is not used")
    return powers


def summed(parts: Iterable[Powers]) -> dict[datetime, float]:
    """Return the sum over the intervals in which every part is known; parts that tell nothing at all are left out."""
    told = [part for part in parts if part]
    if not told:
        return {}
    common = set(told[0]).intersection(*told[1:])
    return {start: sum(part[start] for part in told) for start in sorted(common)}
