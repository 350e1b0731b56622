"""What a plan is made from, and what a plan is.

Energy is in Wh per interval, power in W, prices in mct per kWh. Signs by law 1: taken from the grid, charged and used
is positive; generation is zero or less. Storage energy is what is stored, power and throughput are at the terminals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInterval:
    """One interval to plan, a quarter of an hour or longer.

    Args:
        start: Of the interval.
        hours: Its length.
        load_wh: Expected use without storage.
        pv_wh: Expected generation, zero or less.
        buy_mct_per_kwh: What a kWh from the grid costs; negative where taking is paid.
        sell_mct_per_kwh: What a kWh to the grid brings; negative where giving costs.
        import_w_max: A bound of this interval alone, as a demand response commitment; ``None`` for none.
        export_w_max: The same towards the grid, a magnitude.
        peak_weight: How much of its power counts where the highest costs, 0 to 1.
    """

    start: datetime
    hours: float
    load_wh: float
    pv_wh: float
    buy_mct_per_kwh: float
    sell_mct_per_kwh: float
    import_w_max: float | None = None
    export_w_max: float | None = None
    peak_weight: float = 1.0

    @property
    def end(self) -> datetime:
        """Return the instant when it is over."""
        return self.start + timedelta(hours=self.hours)

    @property
    def net_wh(self) -> float:
        """Return what the site takes without storage; negative is a surplus."""
        return self.load_wh + self.pv_wh


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """One battery.

    Args:
        id: Of its device.
        capacity_wh: Nameplate.
        charge_w_max: At the terminals.
        discharge_w_max: At the terminals, a magnitude.
        stored_wh: Now.
        stored_wh_min: Lower end of the window that it works in.
        stored_wh_max: Upper end.
        charge_efficiency: Stored per taken.
        discharge_efficiency: Given per stored.
        standby_w: Drained from what is stored, always.
        wear_mct_per_kwh: Of each kWh discharged.
        reserve_wh: Kept for an outage above ``stored_wh_min`` or instead of it, whichever is more.
        target_wh: What is to be stored at ``target_at``, zero for no target.
        target_at: When.
        ramp_w_max: How far its power may change from one interval to the next, ``None`` for freely.
        power_w: Now, charging positive: where the ramp begins.
    """

    id: str
    capacity_wh: float
    charge_w_max: float
    discharge_w_max: float
    stored_wh: float
    stored_wh_min: float = 0.0
    stored_wh_max: float
    charge_efficiency: float = 0.95
    discharge_efficiency: float = 0.95
    standby_w: float = 0.0
    wear_mct_per_kwh: float = 1000.0
    reserve_wh: float = 0.0
    target_wh: float = 0.0
    target_at: datetime | None = None
    ramp_w_max: float | None = None
    power_w: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What the connection point and its rules allow.

    Args:
        import_w_max: Of the connection.
        export_w_max: Of the connection, a magnitude.
        feed_in_w_max: A cap on feed-in by rule or contract, ``None`` for none.
        curtailable: Whether generation can be reduced.
        grid_charging: Whether storage may take energy from the grid.
        grid_discharging: Whether storage may give energy to the grid.
        peak_mct_per_kw: What the highest import power of the month costs.
        peak_w: The month's highest so far, which is paid anyway.
    """

    import_w_max: float
    export_w_max: float
    feed_in_w_max: float | None = None
    curtailable: bool = True
    grid_charging: bool = True
    grid_discharging: bool = True
    peak_mct_per_kw: float = 0.0
    peak_w: float = 0.0

    def import_wh_max(self, interval: PlanInterval) -> float:
        """Return the most that may be taken in an interval."""
        bounds = (self.import_w_max, interval.import_w_max)
        return min(bound for bound in bounds if bound is not None) * interval.hours

    def export_wh_max(self, interval: PlanInterval) -> float:
        """Return the most that may be given in an interval, a magnitude."""
        bounds = (self.export_w_max, self.feed_in_w_max, interval.export_w_max)
        return min(bound for bound in bounds if bound is not None) * interval.hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Energy that a load is to have taken by a time.

    Args:
        from_at: It may run from then on.
        due_at: By then.
        energy_wh: What is still missing.
        in_one_go: Whether it runs through at full power once begun, as an appliance does.
        begun: Whether it has begun.
    """

    from_at: datetime
    due_at: datetime
    energy_wh: float
    in_one_go: bool = False
    begun: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A steady need that a load may be ahead or behind of, as a heated house or a tank is.

    Args:
        drain_w: The need, electric.
        ahead_wh: By how much the load is ahead now, negative behind.
        reach_wh: How far it may be, either way.
    """

    drain_w: float
    ahead_wh: float
    reach_wh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexibleLoad:
    """A load that the plan moves; what it takes is no part of the intervals' ``load_wh``.

    Args:
        id: Of its device.
        rated_w: The most that it draws.
        least_w: The least while it runs: ``rated_w`` where it is only on or off, zero where it can draw anything.
        needs: In time order, without overlap; none where a band counts.
        band: Its steady need; ``None`` where needs count.
        follows_surplus: Whether it takes what the site would feed in while nobody asks anything of it.
    """

    id: str
    rated_w: float
    least_w: float = 0.0
    needs: Sequence[Need] = ()
    band: Band | None = None
    follows_surplus: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One way in which the intervals of a problem may come: load and generation of each, with the signs of theirs."""

    load_wh: tuple[float, ...]
    pv_wh: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Everything that a plan is made from: consecutive intervals, storage, connection, loads that can be moved.

    ``end_mct_per_kwh`` is what a kWh that storage can still give after the last interval is worth. ``scenarios`` are
    other ways in which the intervals may come, each as likely as the others; without them the forecast counts as sure.
    """

    intervals: Sequence[PlanInterval]
    stores: Sequence[Store]
    connection: Connection
    end_mct_per_kwh: float
    loads: Sequence[FlexibleLoad] = ()
    scenarios: Sequence[Scenario] = ()


class Soft(StrEnum):
    """A limit that a plan passes rather than being no plan at all; each passing is named."""

    IMPORT = "import limit"
    EXPORT = "export limit"
    WINDOW = "state of charge window"
    RESERVE = "reserve"
    TARGET = "target state of charge"
    RAMP = "ramp"
    NEED = "energy by its time"
    COMFORT = "comfort band"


# What passing a limit by one kWh counts, in mct: above any energy or peak price, so that it is passed only where it
# must, and in the order of what is worse. A ramp counts for each kW. Nothing is worth leaving the window for: only
# what was outside at the beginning, or drains by standing by, is there.
PENALTY_MCT = {
    Soft.IMPORT: 50_000_000,
    Soft.EXPORT: 50_000_000,
    Soft.WINDOW: 200_000_000,
    Soft.RESERVE: 15_000_000,
    Soft.TARGET: 20_000_000,
    Soft.RAMP: 12_000_000,
    Soft.NEED: 20_000_000,
    Soft.COMFORT: 10_000_000,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A limit that a plan passes: which, when, by how much (Wh; W of a ramp), and of which device if of one."""

    limit: Soft
    start: datetime
    amount: float
    device: str | None = None


class Method(StrEnum):
    """How a plan was made, best first."""

    LINEAR = "linear programme"
    RULE = "self-consumption"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What is planned for one interval.

    Args:
        battery_wh: Of each store in order, at the terminals, charging positive.
        curtailed_wh: Generation left unused, zero or more.
        stored_mct_per_kwh: What one more stored kWh would be worth then, by store; zero where the method does not tell.
        load_wh: Of each flexible load in order.
    """

    battery_wh: tuple[float, ...]
    curtailed_wh: float
    stored_mct_per_kwh: tuple[float, ...]
    load_wh: tuple[float, ...] = ()
