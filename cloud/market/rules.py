"""The rules of one market, as data: what an order may be, when a product moves, who pays what.

Rules are versioned; every ledger line names the version that it was posted under.

Source: price band and 15-minute products as European intraday coupling (SDAC/SIDC harmonised limits); gate closure per
zone as EPEX SPOT's within-zone intraday lead time of five minutes; single imbalance price as ACER decision 18/2020.
"""

from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from cloud.market.auction import PriceRule, Tie
from cloud.market.community import Charge, SharingRules
from contracts.units import DELIVERY_INTERVAL_S, ZoneId, instant
from domain.tariff.days import holidays_of
from domain.tariff.model import Tariff
from domain.tariff.price import IsHoliday, price_at, reach
from domain.tariff.read import tariff_of

UTILITY = "utility"
# Counterparty of whatever leaves one area of a market and enters another; it keeps nothing.
LINES = "lines"
NO_SITE = frozenset({UTILITY, LINES})


class Mechanism(StrEnum):
    """How a product trades: a continuous book and a closing call, a call alone, a call paid as bid, or by a key.

    With ``sharing`` nobody bids: after delivery the members' generation goes to who consumed in the same interval.
    """

    CONTINUOUS_CALL = "continuous+call"
    CALL = "call"
    PAY_AS_BID = "pay-as-bid"
    SHARING = "sharing"


class SelfTrade(StrEnum):
    """What happens instead of a trade between two orders of one owner."""

    CANCEL_RESTING = "cancel-resting"
    CANCEL_INCOMING = "cancel-incoming"
    CANCEL_BOTH = "cancel-both"
    DECREMENT = "decrement"


class Imbalance(StrEnum):
    """Who pays what for metered minus traded.

    ``spread``: short at the interval's highest price, long at its lowest, tariffs among them, whatever the system's
    state. ``single``: one price for both directions, ``two-price``: the market's price for whoever helped; with either
    a site that traded nothing may be paid more than one that sold.
    """

    SPREAD = "spread"
    SINGLE = "single"
    TWO_PRICE = "two-price"


class Estimate(StrEnum):
    """What stands in for a missing meter value.

    ``worst``: the greatest of the traded position, the site's last metered interval and nothing, so that a sale
    counts as undelivered. ``schedule``: the traded position. ``previous``: the last metered interval.
    """

    WORST = "worst"
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


class UtilityPrices(NamedTuple):
    """At what the utility sells and buys in one interval."""

    import_mct_per_kwh: int
    export_mct_per_kwh: int


class LastResort(_Data):
    """The utility's standing orders: it sells at the import tariff and buys at the export tariff.

    The quantities are what the zone may take from and give to the grid in one interval. With ``tariff``, one in the
    form of ``tariffs/schema.json``, the prices follow it interval by interval, and the two numbers are not used; it may
    not follow the market's price, which the utility itself bounds.
    """

    stands_in: Stand = Stand.CALL

    import_mct_per_kwh: int = 30_000
    export_mct_per_kwh: int = 8_000
    tariff: dict[str, Any] | None = None
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

    @model_validator(mode="after")
    def _read(self) -> Self:
        if (tariff := self._series) is not None and tariff.is_dynamic:
            raise ValueError(f"tariff {tariff.name} follows the market's price, which the last resort bounds")
        if tariff is not None:
            holidays_of(tariff)
        return self

    @cached_property
    def _series(self) -> Tariff | None:
        return None if self.tariff is None else tariff_of(self.tariff, where="tariff")

    @cached_property
    def _is_holiday(self) -> IsHoliday:
        assert self._series is not None, "two numbers know no holidays"
        return holidays_of(self._series)

    def prices_at(self, start_ms: int) -> UtilityPrices:
        """Return the prices of the delivery interval that starts then; it never pays more than it asks.

        Args:
            start_ms: When the interval starts, in ms since the epoch.
        """
        if self._series is None:
            return UtilityPrices(self.import_mct_per_kwh, self.export_mct_per_kwh)
        point = price_at(self._series, instant(start_ms), is_holiday=self._is_holiday)
        return UtilityPrices(point.import_mct_per_kwh, min(point.import_mct_per_kwh, point.export_mct_per_kwh))

    @property
    def reach(self) -> tuple[int, int]:
        """Return the lowest and the highest price in mct/kWh that it may ever ask or pay."""
        if (tariff := self._series) is None:
            return self.export_mct_per_kwh, self.import_mct_per_kwh
        low, high = reach(tariff, tariff.imports)
        return (min(low, 0) if tariff.exports is None else min(low, reach(tariff, tariff.exports)[0])), high

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave the default place out, so that states stored before there was a choice keep their hash."""
        found: dict[str, Any] = dump(self)
        if self.tariff is None:
            found.pop("tariff")
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


class ClaimRules(_Data):
    """Which demand-response claims wait for a person before they are paid.

    A baseline with any flag that is not in ``pay_flags`` waits. One that is flagged ``capped`` alone is paid at once
    where its payment in the interval is at most ``capped_free_uct`` (a hundred millionths of a cent are a cent).
    """

    hold: bool = True
    pay_flags: tuple[str, ...] = ()
    capped_free_uct: int = Field(default=100_000_000, ge=0)


# Rules stored before there were editions name all of these; what a person writes names a few.
_FIRST_EDITION = frozenset(
    {
        "zone", "version", "mechanism", "tick_mct_per_kwh", "quantity_wh_min", "price_mct_per_kwh_min",
        "price_mct_per_kwh_max", "opening_s", "gate_closure_s", "call_s", "tie", "price_rule", "fee_mct_per_kwh",
        "self_trade", "last_resort", "imbalance", "meter_wait_s", "estimate", "correction_s", "position_limits",
        "commands_per_minute", "open_orders_max",
    }
)  # fmt: skip
SECOND_EDITION = (
    "edition",
    "implausible_permille",
    "claims",
    "imbalance_short_mct_per_kwh",
    "imbalance_long_mct_per_kwh",
)
EDITION = 3
DAY_S = 86_400
# Eight days of intervals, 768, are open at most: each look at what is due goes through all of them.
OPENING_S_MAX = 8 * DAY_S


class MarketRules(_Data):
    """Everything about one zone's market that is a choice.

    Prices in thousandths of a cent per kWh (1 EUR/MWh = 100), quantities in Wh per interval. ``links`` join the areas
    of a market that is not one copper plate: each area has its price, and all clear together. A continuous book would
    give the lines to whoever comes first, so links need the mechanism ``call``.

    ``edition`` says how the rules are applied, so that a journal replays as it was written: the first settled whatever
    was read or estimated; from the second on, readings above the connection by more than ``implausible_permille`` are
    held, nothing is paid on an estimate, and flagged claims wait; from the third on, an estimate counts a purchase as
    not taken where that is the worse for its site, as below zero. ``final_days`` is another way to say
    ``correction_s``. With no last resort and no trade, imbalance costs ``imbalance_short_mct_per_kwh`` and earns
    ``imbalance_long_mct_per_kwh``, the ends of the price band where they are not given.

    ``sharing`` is the key of the mechanism of that name. ``charges`` are paid by each site per kWh beside its energy,
    ``vat_permille`` on all that it pays: energy bought, imbalance, fees and charges.
    """

    edition: int = Field(default=EDITION, ge=1, le=EDITION)
    zone: ZoneId
    version: int = Field(default=1, ge=1)
    mechanism: Mechanism = Mechanism.CONTINUOUS_CALL
    tick_mct_per_kwh: int = Field(default=1, ge=1)
    quantity_wh_min: int = Field(default=1, ge=1)
    price_mct_per_kwh_min: int = -50_000
    price_mct_per_kwh_max: int = 400_000
    opening_s: int = Field(default=86_400, ge=DELIVERY_INTERVAL_S, le=OPENING_S_MAX)
    gate_closure_s: int = Field(default=300, ge=0)
    call_s: int = Field(default=300, ge=0)
    tie: Tie = Tie.TIME
    price_rule: PriceRule = PriceRule.MIDDLE
    fee_mct_per_kwh: int = Field(default=0, ge=0)
    self_trade: SelfTrade = SelfTrade.CANCEL_RESTING
    last_resort: LastResort | None = LastResort()
    links: tuple[LinkRule, ...] = ()
    sharing: SharingRules | None = None
    charges: tuple[Charge, ...] = ()
    vat_permille: int = Field(default=0, ge=0, le=1000)
    imbalance: Imbalance = Imbalance.SPREAD
    imbalance_short_mct_per_kwh: int | None = None
    imbalance_long_mct_per_kwh: int | None = None
    meter_wait_s: int = Field(default=600, ge=0)
    estimate: Estimate = Estimate.WORST
    correction_s: int = Field(default=40 * DAY_S, ge=0)
    implausible_permille: int = Field(default=100, ge=0, le=1000)
    claims: ClaimRules = ClaimRules()
    position_limits: tuple[PositionLimit, ...] = ()
    commands_per_minute: int = Field(default=6_000, ge=1)
    open_orders_max: int = Field(default=1_000, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _dated(cls, raw: object) -> object:
        """Tell stored rules of the first edition, and take ``final_days`` for what it says."""
        if not isinstance(raw, dict):
            return raw
        if raw.keys() >= _FIRST_EDITION and raw.keys().isdisjoint(SECOND_EDITION):
            return {**raw, "edition": 1}
        if "final_days" not in raw:
            return raw
        days = raw["final_days"]
        if type(days) is not int or days < 0 or "correction_s" in raw:
            raise ValueError(f"final_days is {days!r}, not a whole number of days in place of correction_s")
        return {**{name: value for name, value in raw.items() if name != "final_days"}, "correction_s": days * DAY_S}

    @model_validator(mode="after")
    def _priced(self) -> Self:
        short, long = self.imbalance_reserve
        if short < long:
            raise ValueError(f"imbalance costs {short} mct/kWh short and earns {long} long: being out would pay")
        return self

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
            for tariff in self.last_resort.reach:
                if not self.price_mct_per_kwh_min <= tariff <= self.price_mct_per_kwh_max:
                    raise ValueError(f"tariff {tariff} mct/kWh is outside the price band")
        return self

    @model_validator(mode="after")
    def _shared(self) -> Self:
        if (self.mechanism is Mechanism.SHARING) is not (self.sharing is not None):
            raise ValueError("the mechanism sharing and its key (sharing) are given together or not at all")
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
        """Leave absent links, keys and charges out: states stored before there were any keep their hash."""
        found: dict[str, Any] = dump(self)
        for name in ("links", "sharing", "charges", "vat_permille"):
            if not getattr(self, name):
                found.pop(name)
        if self.edition == 1:
            for name in SECOND_EDITION:
                found.pop(name)
        return found

    @property
    def final_days(self) -> int:
        """Return after how many days a settlement stands, whatever comes."""
        return self.correction_s // DAY_S

    @property
    def imbalance_reserve(self) -> tuple[int, int]:
        """Return what a kWh short costs and a kWh long earns where no tariff stands."""
        short, long = self.imbalance_short_mct_per_kwh, self.imbalance_long_mct_per_kwh
        return (
            self.price_mct_per_kwh_max if short is None else short,
            self.price_mct_per_kwh_min if long is None else long,
        )

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
