"""What control makes of an aim when a quarter comes otherwise than forecast, and what that costs."""

from collections.abc import Sequence
from dataclasses import replace

from edge.trading.plan.problem import Action, Connection, PlanInterval, Store
from edge.trading.plan.steer import Steer, shaved


def steered(way: Steer | None, present: PlanInterval, stores: Sequence[Store], connection: Connection) -> Action:
    """Return what control makes of an aim when the quarter comes otherwise than forecast."""
    pv_wh = 0.0 if way is not None and way.generation_off else present.pv_wh
    net_wh = present.load_wh + pv_wh
    wanted_wh = -net_wh
    if way is not None:
        way = shaved(way, net_w=net_wh / present.hours)
        if way.battery_w is not None:
            wanted_wh = way.battery_w * present.hours
        wanted_wh = min(max(wanted_wh, way.battery_w_min * present.hours), way.battery_w_max * present.hours)
    moved = []
    for store in stores:
        room_wh = (store.stored_wh_max - store.stored_wh) / store.charge_efficiency
        floor_wh = max(store.stored_wh_min, store.reserve_wh)
        available_wh = max(0.0, store.stored_wh - floor_wh) * store.discharge_efficiency
        high_wh = min(room_wh, store.charge_w_max * present.hours)
        low_wh = -min(available_wh, store.discharge_w_max * present.hours)
        moved.append(min(max(wanted_wh, low_wh), high_wh))
        wanted_wh -= moved[-1]
    export_wh = -(net_wh + sum(moved))
    bound_wh = connection.export_wh_max(present)
    if way is not None and way.export_w_max is not None:
        bound_wh = min(bound_wh, way.export_w_max * present.hours)
    beyond_wh = min(max(0.0, export_wh - bound_wh), -pv_wh) if connection.curtailable else 0.0
    return Action(
        battery_wh=tuple(moved),
        curtailed_wh=beyond_wh + pv_wh - present.pv_wh,
        stored_mct_per_kwh=(0.0,) * len(moved),
    )


def moved(store: Store, moved_wh: float, *, hours: float) -> Store:
    """Return a store after it took (positive) or gave an energy at its terminals."""
    change = store.charge_efficiency if moved_wh > 0 else 1 / store.discharge_efficiency
    return replace(store, stored_wh=max(0.0, store.stored_wh + moved_wh * change - store.standby_w * hours))


def cost_mct(present: PlanInterval, action: Action, stores: Sequence[Store]) -> float:
    """Return what a quarter cost, the wear of what was discharged included."""
    grid_wh = present.net_wh + action.curtailed_wh + sum(action.battery_wh)
    price = present.buy_mct_per_kwh if grid_wh > 0 else present.sell_mct_per_kwh
    wear = sum(
        max(0.0, -moved_wh) * store.wear_mct_per_kwh for store, moved_wh in zip(stores, action.battery_wh, strict=True)
    )
    return (grid_wh * price + wear) / 1000
