"""Self-consumption: what a site does without a plan, and what every plan must beat."""

from edge.trading.plan.flexible import cheapest
from edge.trading.plan.problem import Action, PlanInterval, Problem, Store


def self_consumption(problem: Problem) -> tuple[Action, ...]:
    """Return the actions of a site whose storage takes the surplus and serves the need, in the stores' order.

    Surplus beyond what may be fed in is curtailed where it can be; storage stays above window and reserve. Flexible
    loads run when energy is cheapest without regard to storage.
    """
    loads = [cheapest(load, problem.intervals) for load in problem.loads]
    stored = [store.stored_wh for store in problem.stores]
    actions = []
    for number, interval in enumerate(problem.intervals):
        drawn = tuple(taken_wh[number] for taken_wh in loads)
        left_wh, moved = interval.net_wh + sum(drawn), []
        for index, store in enumerate(problem.stores):
            moved_wh = _moved(store, stored[index], interval, left_wh)
            left_wh += moved_wh
            change = store.charge_efficiency if moved_wh > 0 else 1 / store.discharge_efficiency
            stored[index] += moved_wh * change - store.standby_w * interval.hours
            moved.append(moved_wh)
        beyond_wh = max(0.0, -left_wh - problem.connection.export_wh_max(interval))
        actions.append(
            Action(
                battery_wh=tuple(moved),
                curtailed_wh=min(beyond_wh, -interval.pv_wh) if problem.connection.curtailable else 0.0,
                stored_mct_per_kwh=(0.0,) * len(moved),
                load_wh=drawn,
            )
        )
    return tuple(actions)


def _moved(store: Store, stored_wh: float, interval: PlanInterval, net_wh: float) -> float:
    """Return what one store takes (positive) or gives, to bring what is left of the site's balance to zero."""
    drained_wh = store.standby_w * interval.hours
    if net_wh < 0:
        room_wh = max(0.0, store.stored_wh_max - stored_wh + drained_wh) / store.charge_efficiency
        return min(-net_wh, store.charge_w_max * interval.hours, room_wh)
    floor_wh = max(store.stored_wh_min, store.reserve_wh)
    available_wh = max(0.0, stored_wh - drained_wh - floor_wh) * store.discharge_efficiency
    return -min(net_wh, store.discharge_w_max * interval.hours, available_wh)
