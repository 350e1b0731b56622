"""Forecasts that the cloud publishes to a zone."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.features import FEATURES_MAX
from contracts.units import (
    DELIVERY_INTERVAL_S,
    POWER_W_MAX,
    PRICE_MCT_MAX,
    Instant,
    PriceMct,
    Remark,
    SiteId,
    Text,
    ZoneId,
)
from contracts.wire import Message

STEPS_MAX: Final = 1000  # Ten days of delivery intervals.
SERIES_MAX: Final = 5000

# Power in W or a price: the wider of the two bounds.
_Values = Annotated[tuple[Annotated[int, Field(ge=-POWER_W_MAX, le=POWER_W_MAX)], ...], Field(max_length=STEPS_MAX)]


class ForecastKind(StrEnum):
    """What is forecast."""

    PV = "pv"
    LOAD = "load"
    PRICE = "price"


class ForecastSeries(BaseModel):
    """Quantiles of one quantity over consecutive steps.

    Mean power in W, positive into the asset, so PV is zero or negative; price in thousandths of a cent per kWh. The
    quantiles rise in number: ``p10 <= p50 <= p90`` at every step. Steps before ``published_until`` are no forecast:
    they were published in advance, by whom ``method`` says.
    """

    model_config = ConfigDict(frozen=True)

    kind: ForecastKind
    site: SiteId | None = None
    start: Instant
    step_s: int = Field(default=DELIVERY_INTERVAL_S, ge=60, le=86_400)
    p10: _Values
    p50: _Values
    p90: _Values
    method: Remark = ""
    published_until: Instant | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "ForecastSeries":
        if not len(self.p10) == len(self.p50) == len(self.p90):
            raise ValueError("quantiles of different lengths")
        if any(not low <= middle <= high for low, middle, high in zip(self.p10, self.p50, self.p90, strict=True)):
            raise ValueError("quantiles out of order")
        bound = PRICE_MCT_MAX if self.kind is ForecastKind.PRICE else POWER_W_MAX
        if any(abs(value) > bound for column in (self.p10, self.p90) for value in column):
            raise ValueError(f"a {self.kind} beyond {bound}")
        return self


class ForecastBroadcast(Message):
    """Forecasts issued at one instant: all of a zone to its watchers, or what one site needs of them, to that site.

    ``last_price_mct_per_kwh`` is what the zone's last cleared product cost. ``off`` names what the operator
    switched off (``contracts.features``); absent where nothing is, and a name that a gateway does not know is passed
    over.
    """

    zone: ZoneId
    issued_at: Instant
    series: tuple[ForecastSeries, ...] = Field(max_length=SERIES_MAX)
    last_price_mct_per_kwh: PriceMct | None = None
    off: Annotated[tuple[Annotated[Text, Field(max_length=64)], ...], Field(max_length=FEATURES_MAX)] | None = None
