"""What an agent knows and what it wants.

Energy is in Wh per delivery interval, prices in mct per kWh, signs by law 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from contracts.market import OrderOp, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteForecast:
    """What a site expects of one delivery interval: load is zero or greater, generation zero or less.

    ``sure_pv_wh`` is the generation that comes nine times of ten, ``None`` where no band is known.
    """

    start: datetime
    load_wh: int
    pv_wh: int
    source: "ForecastSource"
    sure_pv_wh: int | None = None

    @property
    def net_wh(self) -> int:
        """Return what the site takes without its battery; negative is a surplus."""
        return self.load_wh + self.pv_wh


class ForecastSource(StrEnum):
    """Where a forecast is from, best first."""

    BROADCAST = "broadcast"
    OWN = "own"
    BLEND = "blend"
    LEVEL = "level"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalEnergy:
    """What was metered in one past interval, in the same signs."""

    load_wh: float
    pv_wh: float


History = Mapping[datetime, IntervalEnergy]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariffs:
    """What energy costs when it is not traded: the two ends between which a trade helps both sides."""

    import_mct_per_kwh: int
    export_mct_per_kwh: int

    def __post_init__(self) -> None:
        if self.export_mct_per_kwh > self.import_mct_per_kwh:
            raise ValueError(
                f"export tariff {self.export_mct_per_kwh} mct/kWh is above the import tariff "
                f"{self.import_mct_per_kwh}; buying to sell would never end"
            )

    def between(self, price_mct_per_kwh: int) -> int:
        """Return the price moved into the tariffs."""
        return min(max(price_mct_per_kwh, self.export_mct_per_kwh), self.import_mct_per_kwh)


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery:
    """A battery to plan with: energy is what is stored, power is at its terminals, magnitudes.

    ``target_soc_percent`` is to be reached by ``target_at``, where there is such an instant.
    """

    capacity_wh: float
    charge_w_max: float
    discharge_w_max: float
    soc_percent: float
    soc_percent_min: float = 5.0
    soc_percent_max: float = 100.0
    efficiency: float = 0.95
    wear_mct_per_kwh: int = 1000
    target_soc_percent: float = 0.0
    target_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStep:
    """What the battery does in one interval, and what energy in it is worth then.

    Args:
        start: Of the interval.
        battery_wh: At the terminals, charging positive.
        stored_wh: At the end of the interval.
        buy_mct_per_kwh: The most that a further kWh from the connection is worth to the battery.
        sell_mct_per_kwh: The least that a kWh taken from the battery must bring, wear included.
    """

    start: datetime
    battery_wh: int
    stored_wh: float
    buy_mct_per_kwh: int
    sell_mct_per_kwh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What the connection can carry in one interval, magnitudes in Wh; the market refuses orders beyond it."""

    import_wh: int
    export_wh: int


class Leg(StrEnum):
    """Which part of a position an order is for: what flows anyway, what likely will, what the battery may shift."""

    BASE = "base"
    LIKELY = "likely"
    FLEX = "flex"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """An order that an agent wants to stand: ``quantity_wh`` is what is still to trade."""

    start: datetime
    leg: Leg
    side: Side
    quantity_wh: int
    price_mct_per_kwh: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAction:
    """One order message to send; ``quantity_wh`` is the order's total, what already traded included."""

    op: OrderOp
    order_id: str
    start: datetime
    leg: Leg
    side: Side
    quantity_wh: int
    price_mct_per_kwh: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Everything that an agent decides from, for consecutive intervals.

    Args:
        now: Of the decision.
        forecasts: Of the intervals, in time order.
        plan: Of the battery for the same intervals; empty without one.
        positions: Traded net energy by interval, bought positive.
        prices: Expected market price by interval, where anything is expected.
        tariffs: Of the site.
        reach: Of its connection.
        gate_closure_s: Seconds before delivery when orders end.
    """

    now: datetime
    forecasts: Sequence[SiteForecast]
    plan: Sequence[PlanStep]
    positions: Mapping[datetime, int]
    prices: Mapping[datetime, int]
    tariffs: Tariffs
    reach: Reach
    gate_closure_s: int = 300
