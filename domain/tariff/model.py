"""A tariff as data: parts of a price that add up, import and export apart, and what the highest power costs.

Numbers are in the tariff's ``unit``; internally every price is in whole thousandths of a hundredth of the currency per
kWh (``mct``; 1 EUR/MWh is 100). Negative prices are allowed.

Source: the structures of European retail and grid tariffs, named in each file of ``tariffs/``.
"""

from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MONTHS_MAX = 12


class Unit(StrEnum):
    """What the numbers of a tariff are in; the currency is the tariff's."""

    CENT_PER_KWH = "ct/kWh"
    EUR_PER_MWH = "EUR/MWh"
    EUR_PER_KWH = "EUR/kWh"
    MCT_PER_KWH = "mct/kWh"

    @property
    def mct(self) -> Decimal:
        """Return how many thousandths of a hundredth per kWh one of it is."""
        return {
            Unit.CENT_PER_KWH: Decimal(1000),
            Unit.EUR_PER_MWH: Decimal(100),
            Unit.EUR_PER_KWH: Decimal(100_000),
            Unit.MCT_PER_KWH: Decimal(1),
        }[self]


class Day(StrEnum):
    """Which days a period is for; a workday is Monday to Friday without holidays."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"
    WORKDAY = "workday"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"


class Values(StrEnum):
    """Whether the numbers are the published ones, or stand for those of one's own price sheet."""

    PUBLISHED = "published"
    EXAMPLE = "example"


def clock_time(value: Any) -> Any:
    """Take ``17:00`` and ``24:00``; YAML 1.1 reads 17:00 as the number 1020, so that is taken as it was meant."""
    if type(value) is int and 0 <= value <= 24 * 60:
        value = f"{value // 60:02d}:{value % 60:02d}"
    return "00:00" if value == "24:00" else value


Clock = Annotated[time, BeforeValidator(clock_time)]
Month = Annotated[int, Field(ge=1, le=MONTHS_MAX)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class When(_Data):
    """When something holds, in local time: months, days, and a span of hours that may cross midnight.

    Nothing said is no bound. ``from`` equal to ``to`` is the whole day.
    """

    months: tuple[Month, ...] = ()
    days: tuple[Day, ...] = ()
    begin: Clock = Field(default=time(0), alias="from")
    end: Clock = Field(default=time(0), alias="to")


class Period(When):
    """A price at certain times."""

    price: Decimal


class TimeOfUse(_Data):
    """Prices by time; the first period that fits holds, else ``default``."""

    default: Decimal
    periods: tuple[Period, ...] = Field(min_length=1)


class Dynamic(_Data):
    """The market's price times ``factor`` plus ``adder``; the market's price is without tax."""

    factor: Decimal = Decimal(1)
    adder: Decimal = Decimal(0)


class Part(_Data):
    """One part of a price: exactly one of ``fixed``, ``time_of_use``, ``dynamic``. ``vat: false`` is free of it."""

    name: str = Field(min_length=1, max_length=80)
    fixed: Decimal | None = None
    time_of_use: TimeOfUse | None = None
    dynamic: Dynamic | None = None
    vat: bool = True

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in ("fixed", "time_of_use", "dynamic") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"part {self.name} has {' and '.join(given) or 'no price'}; one of the three is needed")
        return self


class Direction(_Data):
    """What energy costs, or brings, in one direction: the sum of its parts, then tax, then the bounds.

    ``zero_when_spot_negative`` pays nothing in intervals in which the market's price is below zero.
    """

    parts: tuple[Part, ...] = Field(min_length=1)
    vat_percent: Decimal = Field(default=Decimal(0), ge=0, le=100)
    price_min: Decimal | None = None
    price_max: Decimal | None = None
    zero_when_spot_negative: bool = False

    @property
    def is_dynamic(self) -> bool:
        """Return whether a market price is needed."""
        return self.zero_when_spot_negative or any(part.dynamic is not None for part in self.parts)


class PeakPeriod(StrEnum):
    """Over what the highest power is taken."""

    MONTH = "month"
    QUARTER = "quarter"


class PeakSeason(_Data):
    """The price per kW in some months."""

    months: tuple[Month, ...] = Field(min_length=1)
    price_per_kw: Decimal = Field(ge=0)


class PeakStep(_Data):
    """What a period costs whose charged power is below ``kw_below``; without it, any power."""

    price: Decimal = Field(ge=0)
    kw_below: Decimal | None = Field(default=None, gt=0)


class Peak(_Data):
    """What the highest power costs: per kW and period, or a sum for each step of power.

    The mean power of each span of ``interval_min`` minutes counts; the mean of the ``highest`` ones is charged, of
    different days where ``different_days``. ``mean_of_periods`` takes the mean of so many periods (Belgium: twelve
    months), never less than ``kw_min`` each. ``weight`` scales spans outside ``when`` (Sweden: half at night).
    ``seasons`` are prices of some months in the place of ``price_per_kw`` (Sweden: dearer in winter). ``steps`` are
    sums by power in its place, the lowest first, the last without an end (Norway).
    """

    price_per_kw: Decimal = Field(default=Decimal(0), ge=0)
    seasons: tuple[PeakSeason, ...] = ()
    steps: tuple[PeakStep, ...] = ()
    interval_min: int = Field(default=15)
    period: PeakPeriod = PeakPeriod.MONTH
    highest: int = Field(default=1, ge=1, le=31)
    different_days: bool = False
    kw_min: Decimal = Field(default=Decimal(0), ge=0)
    mean_of_periods: int = Field(default=1, ge=1, le=12)
    when: When = When()
    weight_outside: Decimal = Field(default=Decimal(0), ge=0, le=1)
    vat_percent: Decimal = Field(default=Decimal(0), ge=0, le=100)

    @model_validator(mode="after")
    def _spans(self) -> Self:
        if self.interval_min not in (15, 30, 60):
            raise ValueError(f"interval_min is {self.interval_min}, not 15, 30 or 60")
        if "price_per_kw" not in self.model_fields_set and not self.steps:
            raise ValueError("a peak has neither price_per_kw nor steps")
        if self.steps and (self.price_per_kw or self.seasons):
            raise ValueError("a peak has steps, and a price per kW beside them; one of both")
        bounds = [step.kw_below for step in self.steps[:-1]]
        ends = [bound for bound in bounds if bound is not None]
        if self.steps and (len(ends) < len(bounds) or self.steps[-1].kw_below is not None or ends != sorted(set(ends))):
            raise ValueError("steps of a peak rise by kw_below, and the last one has none")
        return self

    def price_in(self, month: int) -> Decimal:
        """Return the price per kW of a month, without tax."""
        return next((season.price_per_kw for season in self.seasons if month in season.months), self.price_per_kw)

    def cost(self, kw: Decimal, *, month: int) -> Decimal:
        """Return what a charged power costs in the period that begins with a month, without tax."""
        for step in self.steps:
            if step.kw_below is None or kw < step.kw_below:
                return step.price
        return kw * self.price_in(month)

    def marginal_per_kw(self, kw: Decimal, *, month: int) -> Decimal:
        """Return what one more kW costs about there, without tax: with steps what they rise by around it."""
        if not self.steps:
            return self.price_in(month)
        ends = [Decimal(0), *(step.kw_below for step in self.steps if step.kw_below is not None)]
        # The step after the one in which the power is: its sum is what more power leads to.
        place = min(sum(end <= kw for end in ends), len(self.steps) - 1)
        if place == 0:  # One step for any power.
            return Decimal(0)
        rise = self.steps[place].price - self.steps[place - 1].price
        return max(rise, Decimal(0)) / (ends[place] - ends[place - 1])


class FeedInCap(_Data):
    """The most that may be fed in: a share of the generator's peak, or watts. A limit, no price."""

    percent_of_peak: Decimal | None = Field(default=None, gt=0, le=100)
    power_w: int | None = Field(default=None, ge=0)

    def limit_w(self, peak_w: int) -> int | None:
        """Return the cap in W of a site whose generators have ``peak_w`` at their peak; None where nothing caps it.

        A cap in watts stands whatever the peak: a battery may feed in beside the generators. A share of a peak that
        nobody told (0) caps nothing.
        """
        caps = [] if self.power_w is None else [self.power_w]
        if self.percent_of_peak is not None and peak_w > 0:
            caps.append(int(peak_w * self.percent_of_peak / 100))
        return min(caps, default=None)


class HolidayPlace(_Data):
    """Whose public holidays count: an ISO country and, where they differ, its subdivision."""

    country: str = Field(min_length=2, max_length=2)
    subdivision: str | None = None


class Tariff(_Data):
    """One tariff. ``holidays`` names a place, ``holiday_dates`` more days; both count as ``holiday``."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")
    title: str = Field(min_length=1, max_length=120)
    time_zone: str
    currency: str = Field(default="EUR", min_length=3, max_length=3)
    unit: Unit
    values: Values = Values.EXAMPLE
    sources: tuple[str, ...] = Field(min_length=1)
    valid_from: date | None = None
    holidays: HolidayPlace | None = None
    holiday_dates: tuple[date, ...] = ()
    imports: Direction = Field(alias="import")
    exports: Direction | None = Field(default=None, alias="export")
    peak: Peak | None = None
    feed_in_cap: FeedInCap | None = None

    @model_validator(mode="after")
    def _placed(self) -> Self:
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"time_zone {self.time_zone!r} is no IANA time zone like Europe/Berlin") from error
        return self

    @property
    def is_dynamic(self) -> bool:
        """Return whether a market price is needed to know what an interval costs."""
        return self.imports.is_dynamic or (self.exports is not None and self.exports.is_dynamic)


def flat(*, import_mct_per_kwh: int, export_mct_per_kwh: int) -> Tariff:
    """Return the tariff of two numbers, the short form that a configuration may still use."""
    return Tariff.model_validate(
        {
            "name": "flat",
            "title": "two fixed prices",
            "time_zone": "UTC",
            "unit": Unit.MCT_PER_KWH,
            "sources": ["the site's configuration"],
            "import": {"parts": [{"name": "price", "fixed": import_mct_per_kwh}]},
            "export": {"parts": [{"name": "price", "fixed": export_mct_per_kwh}]},
        }
    )
