"""What a planned interval asks of the loads that the plan moves, and why, in words."""

from dataclasses import dataclass

from edge.trading.plan.plan import Plan
from edge.trading.plan.problem import FlexibleLoad, Method, PlanInterval

_SMALL_W = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadAim:
    """What one load shall do in an interval.

    Args:
        device: Which.
        power_w: What it shall draw, zero to wait; ``None`` leaves it to what it does while nobody asks.
        words: The reason, for an owner.
    """

    device: str
    power_w: float | None
    words: str


def load_aims(plan: Plan, index: int) -> tuple[LoadAim, ...]:
    """Return what one interval of a plan asks of each of its loads."""
    interval, action = plan.problem.intervals[index], plan.actions[index]
    grid_w = plan.outcome.grid_wh[index] / interval.hours
    return tuple(
        _aim(load, interval, taken_wh / interval.hours, grid_w=grid_w, is_rule=plan.method is Method.RULE)
        for load, taken_wh in zip(plan.problem.loads, action.load_wh, strict=True)
    )


def _aim(load: FlexibleLoad, interval: PlanInterval, power_w: float, *, grid_w: float, is_rule: bool) -> LoadAim:
    buy = f"{interval.buy_mct_per_kwh / 1000:.1f} ct/kWh"
    if load.band is None and not any(need.energy_wh > 0 for need in load.needs):
        return LoadAim(device=load.id, power_w=None, words="it has what it needs")
    if load.band is not None and is_rule:
        return LoadAim(device=load.id, power_w=None, words="it heats by itself while there is no plan")
    if power_w <= _SMALL_W:
        return LoadAim(device=load.id, power_w=0.0, words=f"wait while energy costs {buy}: what it needs comes later")
    if load.band is None and load.follows_surplus and grid_w <= _SMALL_W:
        return LoadAim(device=load.id, power_w=None, words="take what the site would feed in")
    power_w = max(power_w, load.least_w)
    source = "from the site's own surplus" if grid_w <= _SMALL_W else f"while energy costs {buy}"
    return LoadAim(device=load.id, power_w=power_w, words=f"take {power_w:.0f} W {source}")
