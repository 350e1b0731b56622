"""The rules of one market, as data: what an order may be, when a product moves, who pays what.

Rules are versioned; every ledger line names the version that it was posted under.

Source: price band and 15-minute products as European intraday coupling (SDAC/SIDC harmonised limits); gate closure per
zone as EPEX SPOT's within-zone intraday lead time of five minutes; single imbalance price as ACER decision 18/2020.
"""

from enum import StrEnum
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from cloud.market.auction import PriceRule, Tie
from contracts.units import DELIVERY_INTERVAL_S, ZoneId

UTILITY = "utility"
# Counterparty of whatever leaves one area of a market and enters another; it keeps nothing.
LINES = "lines"
NO_SITE = frozenset({UTILITY, LINES})


class Mechanism(StrEnum):
    """How a product trades: a continuous book and a closing call, a call alone, or a call paid as bid."""

    CONTINUOUS_CALL = "continuous+call"
    CALL = "call"
    PAY_AS_BID = "pay-as-bid"


class SelfTrade(StrEnum):
    """What happens instead of a trade between two orders of one owner."""

    CANCEL_RESTING = "cancel-resting"
    CANCEL_INCOMING = "cancel-incoming"
    CANCEL_BOTH = "cancel-both"
    DECREMENT = "decrement"


class Imbalance(StrEnum):
    """One imbalance price for both directions, or the market's price for whoever helped."""

    SINGLE = "single"
    TWO_PRICE = "two-price"


class Estimate(StrEnum):
    """What stands in for a missing meter value: the traded position, or the site's last metered interval."""

    SCHEDULE = "schedule"
    PREVIOUS = "previous"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stand(StrEnum):
    """From when on the utility's orders may be met: in the call alone, or in the continuous book already.

    In the book, an order that reaches a tariff trades with the utility at once and never waits for a neighbour; so the
    call is the default.
    """

    CALL = "call"
    BOOK = "book"


class LastResort(_Data):
    """The utility's standing orders: it sells at the import tariff and buys at the export tariff.

    The quantities are what the zone may take from and give to the grid in one interval.
    """

    stands_in: Stand = Stand.CALL

    import_mct_per_kwh: int = 30_000
    export_mct_per_kwh: int = 8_000
    import_wh: int = Field(default=10**9, ge=0)
    export_wh: int = Field(default=10**9, ge=0)
    area: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.export_mct_per_kwh > self.import_mct_per_kwh:
            raise ValueError(
                f"export tariff {self.export_mct_per_kwh} mct/kWh is above the import tariff "
                f"{self.import_mct_per_kwh}: the utility would trade with itself"
            )
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave the default place out, so that states stored before there was a choice keep their hash."""
        found: dict[str, Any] = dump(self)
        if self.stands_in is Stand.CALL:
            found.pop("stands_in")
        if not self.area:
            found.pop("area")
        return found


class LinkRule(_Data):
    """A line between two areas of one market: so many Wh either way in one interval, at a fee per kWh that flows."""

    model_config = ConfigDict(populate_by_name=True)

    origin: str = Field(alias="from", min_length=1, max_length=63)
    target: str = Field(alias="to", min_length=1, max_length=63)
    capacity_wh: int = Field(ge=0)
    fee_mct_per_kwh: int = Field(default=0, ge=0)


class PositionLimit(_Data):
    """From so many seconds before delivery, a site's net position stays within so many Wh."""

    before_delivery_s: int = Field(ge=0)
    position_wh: int = Field(ge=0)


class MarketRules(_Data):
    """Everything about one zone's market that is a choice.

    Prices in thousandths of a cent per kWh (1 EUR/MWh = 100), quantities in Wh per interval. ``links`` join the areas
    of a market that is not one copper plate: each area has its price, and all clear together. A continuous book would
    give the lines to whoever comes first, so links need the mechanism ``call``.
    """

    zone: ZoneId
    version: int = Field(default=1, ge=1)
    mechanism: Mechanism = Mechanism.CONTINUOUS_CALL
    tick_mct_per_kwh: int = Field(default=1, ge=1)
    quantity_wh_min: int = Field(default=1, ge=1)
    price_mct_per_kwh_min: int = -50_000
    price_mct_per_kwh_max: int = 400_000
    opening_s: int = Field(default=86_400, ge=DELIVERY_INTERVAL_S)
    gate_closure_s: int = Field(default=300, ge=0)
    call_s: int = Field(default=300, ge=0)
    tie: Tie = Tie.TIME
    price_rule: PriceRule = PriceRule.MIDDLE
    fee_mct_per_kwh: int = Field(default=0, ge=0)
    self_trade: SelfTrade = SelfTrade.CANCEL_RESTING
    last_resort: LastResort | None = LastResort()
    links: tuple[LinkRule, ...] = ()
    imbalance: Imbalance = Imbalance.SINGLE
    meter_wait_s: int = Field(default=600, ge=0)
    estimate: Estimate = Estimate.SCHEDULE
    correction_s: int = Field(default=40 * 86_400, ge=0)
    position_limits: tuple[PositionLimit, ...] = ()
    commands_per_minute: int = Field(default=6_000, ge=1)
    open_orders_max: int = Field(default=1_000, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.price_mct_per_kwh_min >= self.price_mct_per_kwh_max:
            raise ValueError(
                f"price band {self.price_mct_per_kwh_min} to {self.price_mct_per_kwh_max} mct/kWh is empty"
            )
        if self.gate_closure_s + self.call_s >= self.opening_s:
            raise ValueError(
                f"call of {self.call_s} s before gate closure at {self.gate_closure_s} s begins before the opening at "
                f"{self.opening_s} s"
            )
        if self.last_resort is not None:
            for tariff in (self.last_resort.import_mct_per_kwh, self.last_resort.export_mct_per_kwh):
                if not self.price_mct_per_kwh_min <= tariff <= self.price_mct_per_kwh_max:
                    raise ValueError(f"tariff {tariff} mct/kWh is outside the price band")
        return self

    @model_validator(mode="after")
    def _coupled(self) -> Self:
        if not self.links:
            return self
        if self.mechanism is not Mechanism.CALL or self.price_rule is not PriceRule.MIDDLE:
            raise ValueError(
                f"links need the mechanism call and the middle of the prices, not {self.mechanism}, {self.price_rule}"
            )
        for link in self.links:
            if link.origin == link.target:
                raise ValueError(f"link from {link.origin} to itself")
            if link.fee_mct_per_kwh % self.tick_mct_per_kwh:
                raise ValueError(
                    f"link {link.origin} to {link.target} has a fee of {link.fee_mct_per_kwh}, no multiple of the tick "
                    f"{self.tick_mct_per_kwh}"
                )
        if self.last_resort is not None and self.last_resort.area not in self.areas:
            raise ValueError(f"last_resort.area {self.last_resort.area!r} is none of {', '.join(self.areas)}")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave absent links out, so that states stored before there were any keep their hash."""
        found: dict[str, Any] = dump(self)
        if not self.links:
            found.pop("links")
        return found

    @property
    def areas(self) -> tuple[str, ...]:
        """Return the areas that the links join, none where the whole market is one."""
        return tuple(sorted({end for link in self.links for end in (link.origin, link.target)}))


class Participant(_Data):
    """Who may trade, for whom, and what its connection can carry in one interval.

    Sites of one owner never trade with one another. ``credit_limit_uct`` bounds what the site may owe, open orders
    included; ``None`` leaves it unbounded. ``area`` is where it is connected, in a market with links.
    """

    site: str = Field(min_length=1, max_length=63)
    owner: str = ""
    import_limit_wh: int = Field(ge=0)
    export_limit_wh: int = Field(ge=0)
    credit_limit_uct: int | None = Field(default=None, ge=0)
    area: str = Field(default="", max_length=63)

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave an absent area out, so that states stored before there were areas keep their hash."""
        found: dict[str, Any] = dump(self)
        if not self.area:
            found.pop("area")
        return found

    @property
    def account_owner(self) -> str:
        """Return the owner, which is the site itself where none is named."""
        return self.owner or self.site
