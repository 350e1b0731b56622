"""The tariff of a site's configuration: what energy costs at an instant, what the highest power does, what is allowed.

A ready or written tariff, else the section's two numbers.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from domain.tariff.days import holidays_of
from domain.tariff.model import Day, When
from domain.tariff.peak import first_day, peaks_kw
from domain.tariff.price import holds, no_holidays, price_at
from edge.config import SiteConfig, TradingSection
from edge.trading.model import Tariffs
from edge.trading.plan.fills import Fills
from edge.trading.plan.problem import Connection
from edge.trading.plan.rates import planned_rates, spot_rate

_MCT_PER_UNIT = 100_000  # Of the currency, as a price per kWh has it.


class SiteTariff:
    """What energy costs and brings the site when it is not traded.

    A tariff that follows the market needs its price; where that is not known, the section's two numbers hold. What a
    kWh brings is never taken for more than what one costs: buying to sell would never end.
    """

    def __init__(self, trading: TradingSection, *, time_zone: str | None = None) -> None:
        """Read the tariff; ``time_zone`` is the site's wall clock where no tariff tells one."""
        self._zone = time_zone or "UTC"
        self._flat = trading.import_tariff_mct_per_kwh, trading.export_tariff_mct_per_kwh
        self._tariff = trading.priced_by
        self._is_holiday = no_holidays if self._tariff is None else holidays_of(self._tariff)

    @property
    def follows_market(self) -> bool:
        """Return whether the tariff is near the market's price already."""
        return self._tariff is not None and self._tariff.is_dynamic

    @property
    def charges_power(self) -> bool:
        """Return whether the highest power of a period costs something."""
        return self._tariff is not None and self._tariff.peak is not None

    def peak_mct_per_kw(self, at: datetime, *, peak_w: float) -> float:
        """Return what one more kW of the period's highest power costs, zero where power costs nothing.

        Args:
            at: In the period.
            peak_w: The power that is charged so far; where power is charged by steps the next one counts.
        """
        if self._tariff is None or self._tariff.peak is None:
            return 0.0
        peak = self._tariff.peak
        month = first_day(peak, at.astimezone(ZoneInfo(self._tariff.time_zone)).date()).month
        price = peak.marginal_per_kw(Decimal(peak_w) / 1000, month=month)
        return float(price * (100 + peak.vat_percent) / 100) * _MCT_PER_UNIT / peak.highest

    def peak_began_at(self, now: datetime) -> datetime:
        """Return when the month or quarter began whose highest power is charged."""
        assert self._tariff is not None and self._tariff.peak is not None, "asked where power costs something"
        zone = ZoneInfo(self._tariff.time_zone)
        day = first_day(self._tariff.peak, now.astimezone(zone).date())
        return datetime.combine(day, time(0), zone).astimezone(UTC)

    def peak_w(self, import_wh: Mapping[datetime, int]) -> float:
        """Return what power of a period is charged anyway, by the energy taken in its quarters so far."""
        assert self._tariff is not None and self._tariff.peak is not None, "asked where power costs something"
        rule = self._tariff.peak.model_copy(update={"mean_of_periods": 1})
        charged = peaks_kw(self._tariff.model_copy(update={"peak": rule}), import_wh, is_holiday=self._is_holiday)
        return 1000.0 * float(max(charged.values(), default=rule.kw_min))

    def peak_weight(self, start: datetime) -> float:
        """Return how much of a quarter's power counts."""
        peak = None if self._tariff is None else self._tariff.peak
        if self._tariff is None or peak is None:
            return 1.0
        local = start.astimezone(ZoneInfo(self._tariff.time_zone))
        return 1.0 if holds(peak.when, local, self._is_holiday) else float(peak.weight_outside)

    @property
    def _wall(self) -> ZoneInfo:
        """Return the clock on the wall: the tariff's, or else the site's."""
        return ZoneInfo(self._zone if self._tariff is None else self._tariff.time_zone)

    def spans(
        self, begin: time, end: time, *, days: Sequence[Day], now: datetime, ahead_days: int
    ) -> list[tuple[datetime, datetime]]:
        """Return when a span of hours of the wall clock begins and ends, on some days, from the present one on.

        Args:
            begin: Of the span.
            end: Of the span, on the next day where it is not after the begin.
            days: On which it begins; every day where none is named.
            now: Spans that have ended by then are left out.
            ahead_days: How many days to look ahead.
        """
        found = []
        today = now.astimezone(self._wall).date()
        for number in range(-1, ahead_days + 1):
            day = today + timedelta(days=number)
            if not holds(When(days=tuple(days)), datetime.combine(day, begin, self._wall), self._is_holiday):
                continue
            last = day if end > begin else day + timedelta(days=1)
            span = [datetime.combine(*each, self._wall).astimezone(UTC) for each in ((day, begin), (last, end))]
            if span[1] > now:
                found.append((span[0], span[1]))
        return found

    def next_at(self, clock: time, now: datetime) -> datetime:
        """Return the next instant at which the wall clock, the tariff's or else the site's, shows a time."""
        local = now.astimezone(self._wall)
        found = local.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
        return (found if found > local else found + timedelta(days=1)).astimezone(UTC)

    def at(self, start: datetime, price_mct_per_kwh: int | None) -> tuple[int, int]:
        """Return what a kWh costs and brings in an interval, the market's price being so much."""
        if self._tariff is None or (self._tariff.is_dynamic and price_mct_per_kwh is None):
            return self._flat
        point = price_at(self._tariff, start, spot=price_mct_per_kwh, is_holiday=self._is_holiday)
        return point.import_mct_per_kwh, min(point.export_mct_per_kwh, point.import_mct_per_kwh)

    def over(self, starts: Sequence[datetime], prices: Mapping[datetime, int]) -> Tariffs:
        """Return the two ends between which a trade helps in every one of some intervals."""
        rates = [self.at(start, prices.get(start)) for start in starts] or [self._flat]
        cost = min(rate[0] for rate in rates)
        return Tariffs(import_mct_per_kwh=cost, export_mct_per_kwh=min(cost, max(rate[1] for rate in rates)))


def connection_of(config: SiteConfig, *, tariff: SiteTariff, peak_w: float, at: datetime) -> Connection:
    """Return what a plan may take and give: the connection, the tariff's cap and peak, and the rules of the site.

    Args:
        config: Of the site.
        tariff: Its tariff.
        peak_w: The power that is charged anyway.
        at: When; the price of power may differ by the season.
    """
    return Connection(
        import_w_max=float(config.connection.import_limit_w),
        export_w_max=float(config.export_w_max),
        grid_charging=config.trading.charge_from_grid,
        grid_discharging=config.trading.discharge_to_grid,
        peak_mct_per_kw=tariff.peak_mct_per_kw(at, peak_w=peak_w),
        peak_w=peak_w,
    )


def rates_at(
    start: datetime,
    *,
    price: int | None,
    market: int | None,
    trading: TradingSection,
    tariff: SiteTariff,
    fills: Fills,
    now: datetime,
) -> tuple[float, float]:
    """Return what energy costs and brings in an interval: the tariff at its price, and the market's while it is open.

    A tariff that follows the price is already near it: what a trade would bring beyond is not planned with.

    Args:
        start: Of the interval.
        price: What the tariff follows, ``None`` where that is not known.
        market: What the market is expected to pay, ``None`` where nothing is.
        trading: The site's configuration of it.
        tariff: The site's.
        fills: How much of its orders used to trade.
        now: The instant.
    """
    buy, sell = map(float, tariff.at(start, price))
    spot = trading.spot
    if spot is not None and price is not None:
        buy = spot_rate(
            price_mct_per_kwh=price, adder_mct_per_kwh=spot.import_adder_mct_per_kwh, factor=spot.import_factor
        )
        if spot.export_adder_mct_per_kwh is not None:
            sell = float(price + spot.export_adder_mct_per_kwh)
    tradable = (
        trading.enabled
        and spot is None
        and not tariff.follows_market
        and start - timedelta(seconds=trading.gate_closure_s) > now
    )
    return planned_rates(
        import_mct_per_kwh=buy,
        export_mct_per_kwh=sell,
        price_mct_per_kwh=market if tradable else None,
        fills=fills,
    )
