"""How the coming days may differ from their forecast: as the past days of their kind differed from one another.

A plan on one forecast is sure of every hour. Past days tell how far load and sun stray together, and for how long.
"""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo

from contracts.units import DELIVERY_INTERVAL, DELIVERY_INTERVAL_S, epoch_ms, instant
from edge.trading.model import IntervalEnergy
from edge.trading.plan.problem import PlanInterval, Scenario

SCENARIOS = 14
DAYS_BACK = 28
# Fewer days say nothing about how days differ.
_DAYS_MIN = 3
# Every scenario begins as the present hour does, and strays from it by this time constant.
_STRAY_H = 1.0
_PER_DAY = 96
_LENGTH_MS = DELIVERY_INTERVAL_S * 1000
_QUARTERS_PER_H = 4
_FRIDAY, _SUNDAY = 4, 6


@dataclass(frozen=True, kw_only=True)
class Past:
    """The metered quarters of the last weeks, and the wall clock and the holidays by which days are of a kind."""

    energies: Mapping[datetime, IntervalEnergy] = field(default_factory=dict)
    clock: tzinfo = UTC
    holidays: Container[date] = ()
    # Of spans looked at before: plans of one hour look at nearly the same ones, and the past stays as it is.
    _deviations: dict[tuple[datetime, int], list[tuple[float, float]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    # The same quarters, and the kinds of their days, by number from the epoch: a plan looks thousands of them up.
    _metered: dict[int, tuple[float, float]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _kinds: dict[int, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._metered.update((_number(at), (each.load_wh, each.pv_wh)) for at, each in self.energies.items())

    def deviations(self, begin: datetime, quarters: int) -> list[tuple[float, float]]:
        """Return load and generation of past days above their mean over some quarters, in Wh, the newest day first.

        Of days of the kind of the first quarter; where too few of them are known, of all days.
        """
        found = self._deviations.get((begin, quarters))
        if found is None:
            found = self._deviations[begin, quarters] = self._looked_up(begin, quarters)
        return found

    def _looked_up(self, begin: datetime, quarters: int) -> list[tuple[float, float]]:
        first = _number(begin)
        kind = self.kind_of(begin)
        alike: list[tuple[float, float]] = []
        others: list[tuple[float, float]] = []
        for back in range(1, DAYS_BACK + 1):
            source = first - back * _PER_DAY
            known = [each for number in range(source, source + quarters) if (each := self._metered.get(number))]
            if len(known) < quarters:
                continue
            energy = known[0] if quarters == 1 else (sum([load for load, _ in known]), sum([pv for _, pv in known]))
            others.append(energy)
            if self._kind_of_number(source) == kind:
                alike.append(energy)
                if len(alike) == SCENARIOS:
                    break
        found = alike if len(alike) >= _DAYS_MIN else others[:SCENARIOS]
        if len(found) < _DAYS_MIN:
            return []
        load_mean = sum(load for load, _ in found) / len(found)
        pv_mean = sum(pv for _, pv in found) / len(found)
        return [(load - load_mean, pv - pv_mean) for load, pv in found]

    def _kind_of_number(self, number: int) -> int:
        kind = self._kinds.get(number)
        if kind is None:
            kind = self._kinds[number] = self.kind_of(instant(number * _LENGTH_MS))
        return kind

    def kind_of(self, at: datetime) -> int:
        """Return one number on working days, another on Saturdays, a third on Sundays and holidays."""
        day = at.astimezone(self.clock).date()
        return _SUNDAY if day in self.holidays else max(_FRIDAY, day.weekday())


def _number(at: datetime) -> int:
    """Return how many quarters of an hour had begun before the one that begins at an instant, from the epoch on."""
    return epoch_ms(at) // _LENGTH_MS


def scenarios(intervals: Sequence[PlanInterval], past: Past) -> tuple[Scenario, ...]:
    """Return how the intervals may come, each way as likely as the others; none where too few days are known.

    A scenario is the forecast and what one past day had above the mean of the days of the same kind. Where fewer days
    of a kind than scenarios are known, they are used again.
    """
    if not intervals:
        return ()
    first = intervals[0].start
    shapes = [_deviations(each, past) for each in intervals]
    if not any(shapes):
        return ()
    present = shapes[0] or [(0.0, 0.0)]
    found = []
    for number in range(SCENARIOS):
        load_0, pv_0 = present[number % len(present)]
        load_wh, pv_wh = [], []
        for interval, shape in zip(intervals, shapes, strict=True):
            load_off, pv_off = shape[number % len(shape)] if shape else (0.0, 0.0)
            near = math.exp(-(interval.start - first).total_seconds() / 3600 / _STRAY_H) if shape else 0.0
            load_off -= near * load_0 * interval.hours / intervals[0].hours
            pv_off -= near * pv_0 * interval.hours / intervals[0].hours
            load_wh.append(max(0.0, interval.load_wh + load_off))
            # At night no sun strays.
            pv_wh.append(min(0.0, interval.pv_wh + pv_off) if interval.pv_wh < 0 else 0.0)
        found.append(Scenario(load_wh=tuple(load_wh), pv_wh=tuple(pv_wh)))
    return tuple(found)


def _deviations(interval: PlanInterval, past: Past) -> list[tuple[float, float]]:
    """Return how past days lay from their mean over an interval; of the present quarter only the rest is planned."""
    quarters = max(1, round(interval.hours * _QUARTERS_PER_H))
    share = interval.hours * _QUARTERS_PER_H / quarters
    return [
        (share * load_wh, share * pv_wh)
        for load_wh, pv_wh in past.deviations(interval.end - quarters * DELIVERY_INTERVAL, quarters)
    ]


NOTHING_KNOWN = Past()
