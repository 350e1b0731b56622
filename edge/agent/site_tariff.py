"""The tariff of a site's configuration at an instant: a ready or written one, else its two numbers."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.tariff.days import holidays_of
from domain.tariff.price import no_holidays, price_at
from edge.config import TradingSection
from edge.trading.model import Tariffs


class SiteTariff:
    """What energy costs and brings the site when it is not traded.

    A tariff that follows the market needs its price; where that is not known, the section's two numbers hold. What a
    kWh brings is never taken for more than what one costs: buying to sell would never end.
    """

    def __init__(self, trading: TradingSection) -> None:
        self._flat = trading.import_tariff_mct_per_kwh, trading.export_tariff_mct_per_kwh
        self._tariff = trading.priced_by
        self._is_holiday = no_holidays if self._tariff is None else holidays_of(self._tariff)

    @property
    def follows_market(self) -> bool:
        """Return whether the tariff is near the market's price already."""
        return self._tariff is not None and self._tariff.is_dynamic

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
