"""What a planned interval asks of control, and why, in words.

Self-consumption meets the load as it is and the sun as it comes, so a plan leaves it alone where it wants the same, and
binds only the side that it wants otherwise: a forecast is never exact, and a fixed power would pass every error on to
the grid.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from edge.trading.plan.plan import Plan
from edge.trading.plan.problem import Action, PlanInterval

# Less power than this is as good as none.
_SMALL_W = 50.0


class Aim(StrEnum):
    """What the storage is for in one interval."""

    SELF_CONSUMPTION = "self-consumption"
    REST = "nothing to do"
    CHARGE_FROM_GRID = "charge from the grid"
    CHARGE_LESS = "charge less than the surplus"
    KEEP = "keep what is stored"
    GIVE_LESS = "give less than the need"
    SELL = "give to the grid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steer:
    """One interval's aim and the bounds that serve it, powers in W.

    Args:
        aim: What for.
        battery_w_min: The least that all batteries together may do; minus infinity for no bound.
        battery_w_max: The most.
        battery_w: What they shall do, ``None`` to leave it to self-consumption inside the bounds.
        export_w_max: The most that may be fed in because feeding in costs money, ``None`` for no bound.
        generation_off: Whether generation shall rest altogether, because taking energy is paid.
        import_w_max: The power that is paid for anyway, where the highest costs; ``None`` where it costs nothing.
        words: The reason, for an owner.
    """

    aim: Aim
    battery_w_min: float = float("-inf")
    battery_w_max: float = float("inf")
    battery_w: float | None = None
    export_w_max: float | None = None
    generation_off: bool = False
    import_w_max: float | None = None
    words: str


def steer(plan: Plan, index: int) -> Steer:
    """Return what one interval of a plan asks of control."""
    interval, action = plan.problem.intervals[index], plan.actions[index]
    export_w_max, generation_off = _generation(interval, action, plan.outcome.grid_wh[index])
    aim = _storage(plan, interval, action, export_w_max=export_w_max, generation_off=generation_off)
    peak_w = _peak_w(plan)
    if peak_w is None or interval.peak_weight == 0:
        return aim
    import_w_max = peak_w / interval.peak_weight
    return replace(
        aim,
        import_w_max=import_w_max,
        words=f"{aim.words}; take no more than {import_w_max:.0f} W, the highest is paid",
    )


def shaved(aim: Steer, *, net_w: float) -> Steer:
    """Return an aim whose storage keeps the connection below what is paid for anyway, whatever the load does.

    Args:
        aim: Of the interval.
        net_w: What the site takes now without its storage.
    """
    if aim.import_w_max is None:
        return aim
    most_w = aim.import_w_max - net_w
    if most_w >= 0 and aim.battery_w is None:
        return aim  # Self-consumption charges from a surplus alone.
    return replace(
        aim,
        battery_w_min=min(aim.battery_w_min, most_w),
        battery_w_max=min(aim.battery_w_max, most_w),
        battery_w=None if aim.battery_w is None else min(aim.battery_w, most_w),
    )


def _peak_w(plan: Plan) -> float | None:
    """Return the highest power that counts in a plan, no less than the month's so far; ``None`` where it is free."""
    connection = plan.problem.connection
    if connection.peak_mct_per_kw <= 0:
        return None
    planned = (
        interval.peak_weight * grid_wh / interval.hours
        for interval, grid_wh in zip(plan.problem.intervals, plan.outcome.grid_wh, strict=True)
    )
    return max(connection.peak_w, *planned)


def _storage(
    plan: Plan, interval: PlanInterval, action: Action, *, export_w_max: float | None, generation_off: bool
) -> Steer:
    battery_w = sum(action.battery_wh) / interval.hours
    net_w = (interval.net_wh + sum(action.load_wh) + action.curtailed_wh) / interval.hours
    buy, sell = _ct(interval.buy_mct_per_kwh), _ct(interval.sell_mct_per_kwh)
    least_w, most_w, wanted_w = float("-inf"), float("inf"), None
    if not plan.problem.stores:
        aim, words = Aim.REST, "there is no storage to plan"
    elif abs(battery_w + net_w) <= _SMALL_W:
        aim, words = Aim.SELF_CONSUMPTION, "the battery takes the surplus and serves the need"
    elif battery_w > max(0.0, -net_w) + _SMALL_W:
        aim, wanted_w = Aim.CHARGE_FROM_GRID, battery_w
        words = f"charge {battery_w:.0f} W while energy costs {buy}, for dearer hours"
    elif battery_w < -max(0.0, net_w) - _SMALL_W:
        aim, wanted_w = Aim.SELL, battery_w
        words = f"give {-battery_w:.0f} W while the grid pays {sell}"
    elif net_w < 0 and battery_w >= 0 and not _full(plan, interval):
        aim, most_w = Aim.CHARGE_LESS, battery_w
        words = f"charge {battery_w:.0f} W of the surplus of {-net_w:.0f} W: the room is worth more later"
    elif net_w > 0 and battery_w >= -_SMALL_W and not _empty(plan, interval):
        aim, least_w = Aim.KEEP, 0.0
        words = f"buy at {buy} and keep what is stored for dearer hours"
    elif net_w > 0 and not _empty(plan, interval):
        aim, least_w = Aim.GIVE_LESS, battery_w
        words = f"give {-battery_w:.0f} W of the {net_w:.0f} W needed, the rest in dearer hours"
    else:
        aim, words = Aim.SELF_CONSUMPTION, "the battery does what it can for the site's own use"
    if generation_off:
        words += f"; generation rests while taking energy costs {buy}"
    elif export_w_max is not None:
        words += f"; feed in no more than {export_w_max:.0f} W at {sell}"
    return Steer(
        aim=aim,
        battery_w_min=least_w,
        battery_w_max=most_w,
        battery_w=wanted_w,
        export_w_max=export_w_max,
        generation_off=generation_off,
        words=words,
    )


def _generation(interval: PlanInterval, action: Action, grid_wh: float) -> tuple[float | None, bool]:
    """Return the bound on feeding in where it costs money, and whether generation shall rest altogether."""
    if interval.pv_wh > -1.0:
        # A bound is kept for a sun that was not forecast, where its energy would cost money.
        return (0.0 if interval.sell_mct_per_kwh < 0 else None), False
    if action.curtailed_wh < 1.0:
        return (max(0.0, -grid_wh) / interval.hours if interval.sell_mct_per_kwh < 0 else None), False
    used_wh = -interval.pv_wh - action.curtailed_wh
    if used_wh < 1.0 and interval.buy_mct_per_kwh < 0:
        return None, True
    return max(0.0, -grid_wh) / interval.hours, False


def _full(plan: Plan, interval: PlanInterval) -> bool:
    """Say whether every store is at its upper end after the interval, so that it can take no more than planned."""
    after = plan.outcome.stored_wh[plan.problem.intervals.index(interval)]
    return all(wh >= store.stored_wh_max - 1.0 for wh, store in zip(after, plan.problem.stores, strict=True))


def _empty(plan: Plan, interval: PlanInterval) -> bool:
    after = plan.outcome.stored_wh[plan.problem.intervals.index(interval)]
    return all(
        wh <= max(store.stored_wh_min, store.reserve_wh) + 1.0
        for wh, store in zip(after, plan.problem.stores, strict=True)
    )


def _ct(price_mct: float) -> str:
    return f"{price_mct / 1000:.1f} ct/kWh"
