"""What the highest power of a month or quarter costs.

Source: Flemish capacity tariff (VREG: mean of twelve monthly quarter-hour peaks, 2.5 kW at least); Swedish
effekttariffer (Energimarknadsinspektionen EIFS 2022:1: mean of the highest hours of different days); Norwegian
kapasitetsledd (NVE, from 1 July 2022: a sum by the step in which the mean of three days' highest hours is).
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from domain.tariff.model import Peak, PeakPeriod, Tariff
from domain.tariff.price import IsHoliday, holds, no_holidays

QUARTER_MIN = 15


def peaks_kw(
    tariff: Tariff, import_wh: Mapping[datetime, int], *, is_holiday: IsHoliday = no_holidays
) -> dict[date, Decimal]:
    """Return the charged power of each period by its first local day, in kW; nothing where power costs nothing.

    Args:
        tariff: Its ``peak`` says what counts.
        import_wh: Energy taken in each quarter of an hour, by its start.
        is_holiday: Says of a local day whether it is a public holiday.
    """
    rule = tariff.peak
    if rule is None:
        return {}
    zone = ZoneInfo(tariff.time_zone)
    spans: dict[datetime, Decimal] = defaultdict(Decimal)
    for at, energy_wh in import_wh.items():
        local = at.astimezone(zone)
        spans[local.replace(minute=local.minute - local.minute % rule.interval_min)] += Decimal(energy_wh)
    by_period: dict[date, list[tuple[Decimal, date]]] = defaultdict(list)
    for local, energy in spans.items():
        kw = energy * 60 / rule.interval_min / 1000
        if not holds(rule.when, local, is_holiday):
            kw *= rule.weight_outside
        by_period[first_day(rule, local.date())].append((kw, local.date()))
    own = {first: max(_highest(rule, found), rule.kw_min) for first, found in sorted(by_period.items())}
    firsts = list(own)
    return {
        first: sum((own[one] for one in firsts[max(0, index + 1 - rule.mean_of_periods) : index + 1]), Decimal(0))
        / min(index + 1, rule.mean_of_periods)
        for index, first in enumerate(firsts)
    }


def peak_cost(
    tariff: Tariff, import_wh: Mapping[datetime, int], *, is_holiday: IsHoliday = no_holidays
) -> dict[date, Decimal]:
    """Return what each period's power costs, in the tariff's currency with tax."""
    rule = tariff.peak
    if rule is None:
        return {}
    tax = (100 + rule.vat_percent) / 100
    charged = peaks_kw(tariff, import_wh, is_holiday=is_holiday)
    return {first: rule.cost(kw, month=first.month) * tax for first, kw in charged.items()}


def first_day(rule: Peak, day: date) -> date:
    """Return the first local day of the period that a day is in."""
    month = day.month if rule.period is PeakPeriod.MONTH else (day.month - 1) // 3 * 3 + 1
    return date(day.year, month, 1)


def _highest(rule: Peak, found: list[tuple[Decimal, date]]) -> Decimal:
    """Return the mean of the highest spans, of different days where the rule says so."""
    chosen: list[Decimal] = []
    days: set[date] = set()
    for kw, day in sorted(found, key=lambda one: -one[0]):
        if len(chosen) == rule.highest:
            break
        if rule.different_days and day in days:
            continue
        days.add(day)
        chosen.append(kw)
    return sum(chosen, Decimal(0)) / len(chosen)
