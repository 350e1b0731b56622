"""What a kWh costs, or brings, at an instant: the parts that hold, tax, bounds; and a day of it as a series."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

from contracts.units import DELIVERY_INTERVAL
from domain.tariff.model import Day, Direction, Part, Tariff, When

IsHoliday = Callable[[date], bool]
_WEEKDAYS = (Day.MONDAY, Day.TUESDAY, Day.WEDNESDAY, Day.THURSDAY, Day.FRIDAY, Day.SATURDAY, Day.SUNDAY)
_SATURDAY = 5


class SpotMissing(ValueError):
    """A tariff follows the market's price, and there is none for an instant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PricePoint:
    """What energy costs and brings in one delivery interval, in thousandths of a hundredth per kWh."""

    start: datetime
    import_mct_per_kwh: int
    export_mct_per_kwh: int


def no_holidays(_: date) -> bool:
    """Return that no day is a holiday."""
    return False


def prices(
    tariff: Tariff,
    *,
    start: datetime,
    end: datetime,
    spot_mct_per_kwh: Mapping[datetime, int] | None = None,
    is_holiday: IsHoliday = no_holidays,
) -> list[PricePoint]:
    """Return the series of a tariff over ``[start, end)``, by delivery interval.

    Args:
        tariff: Which.
        start: The first interval's beginning, aware.
        end: Where the series ends.
        spot_mct_per_kwh: The market's price by interval start in UTC, for a tariff that follows it.
        is_holiday: Says of a local day whether it is a public holiday where the tariff holds.

    Raises:
        SpotMissing: The tariff follows the market and an interval has no price.
    """
    points = []
    at = start
    while at < end:
        points.append(price_at(tariff, at, spot=(spot_mct_per_kwh or {}).get(at), is_holiday=is_holiday))
        at += DELIVERY_INTERVAL
    return points


def price_at(
    tariff: Tariff, at: datetime, *, spot: int | None = None, is_holiday: IsHoliday = no_holidays
) -> PricePoint:
    """Return what energy costs and brings at an instant; a tariff without an export side pays nothing.

    Raises:
        SpotMissing: The tariff follows the market and ``spot`` (in mct/kWh) is not known.
    """
    local = at.astimezone(ZoneInfo(tariff.time_zone))

    def holiday(day: date) -> bool:
        return day in tariff.holiday_dates or is_holiday(day)

    imports = _price(tariff, tariff.imports, local, spot, holiday)
    exports = 0 if tariff.exports is None else _price(tariff, tariff.exports, local, spot, holiday)
    return PricePoint(start=at, import_mct_per_kwh=imports, export_mct_per_kwh=exports)


def reach(tariff: Tariff, side: Direction) -> tuple[int, int]:
    """Return the lowest and the highest price in mct/kWh that one direction's parts could add up to.

    Parts are taken apart from each other, so the ends may lie beyond what any instant has.

    Raises:
        SpotMissing: The direction follows the market.
    """
    if side.is_dynamic:
        raise SpotMissing(f"tariff {tariff.name} follows the market: nothing bounds it")
    scale, tax = tariff.unit.mct, (100 + side.vat_percent) / 100
    ends = []
    for end in (min, max):
        total = Decimal(0)
        for part in side.parts:
            times = part.time_of_use
            prices = [part.fixed or Decimal(0)] if times is None else [times.default, *(p.price for p in times.periods)]
            total += end(prices) * scale * (tax if part.vat else 1)
        ends.append(_bounded(side, total, scale))
    return ends[0], ends[1]


def local_day(tariff: Tariff, day: date) -> tuple[datetime, datetime]:
    """Return when a local day begins and ends; 92 or 100 intervals lie between on the days of a clock change."""
    zone = ZoneInfo(tariff.time_zone)
    begin = datetime.combine(day, time(0), tzinfo=zone)
    end = datetime.combine(day + timedelta(days=1), time(0), tzinfo=zone)
    utc = ZoneInfo("UTC")
    return begin.astimezone(utc), end.astimezone(utc)


def holds(when: When, local: datetime, is_holiday: IsHoliday) -> bool:
    """Return whether an instant in local time lies in a period; after midnight the day before counts on."""
    if when.months and local.month not in when.months:
        return False
    clock = local.time().replace(tzinfo=None, fold=0)
    day = local.date()
    if when.begin > when.end:
        if when.end <= clock < when.begin:
            return False
        if clock < when.end:
            day -= timedelta(days=1)
    elif when.begin < when.end and not when.begin <= clock < when.end:
        return False
    return not when.days or any(_is(kind, day, is_holiday) for kind in when.days)


def _is(kind: Day, day: date, is_holiday: IsHoliday) -> bool:
    weekend = day.weekday() >= _SATURDAY
    match kind:
        case Day.WORKDAY:
            return not weekend and not is_holiday(day)
        case Day.WEEKEND:
            return weekend
        case Day.HOLIDAY:
            return is_holiday(day)
        case _:
            return _WEEKDAYS[day.weekday()] is kind


def _price(tariff: Tariff, side: Direction, local: datetime, spot: int | None, is_holiday: IsHoliday) -> int:
    if side.is_dynamic and spot is None:
        raise SpotMissing(f"tariff {tariff.name} follows the market, which has no price at {local.isoformat()}")
    if side.zero_when_spot_negative and spot is not None and spot < 0:
        return 0
    scale = tariff.unit.mct
    taxed = sum((_part(part, scale, local, spot, is_holiday) for part in side.parts if part.vat), Decimal(0))
    free = sum((_part(part, scale, local, spot, is_holiday) for part in side.parts if not part.vat), Decimal(0))
    total = taxed * (100 + side.vat_percent) / 100 + free
    return _bounded(side, total, scale)


def _bounded(side: Direction, total: Decimal, scale: Decimal) -> int:
    if side.price_min is not None:
        total = max(total, side.price_min * scale)
    if side.price_max is not None:
        total = min(total, side.price_max * scale)
    return int(total.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def _part(part: Part, scale: Decimal, local: datetime, spot: int | None, is_holiday: IsHoliday) -> Decimal:
    if part.fixed is not None:
        return part.fixed * scale
    if part.dynamic is not None:
        return Decimal(spot or 0) * part.dynamic.factor + part.dynamic.adder * scale
    assert part.time_of_use is not None, "the model proves that one of the three is given"
    fitting = (period.price for period in part.time_of_use.periods if holds(period, local, is_holiday))
    return next(fitting, part.time_of_use.default) * scale
