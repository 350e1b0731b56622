"""A plan as others are told it: plain values, step by step, with the reason of each in words."""

from datetime import datetime, timedelta
from typing import Any

from edge.trading.plan.plan import Plan
from edge.trading.plan.steer import steer
from edge.trading.plan.steer_loads import load_aims

TOLD = timedelta(hours=20)


def told(plan: Plan, *, now: datetime, horizon: timedelta = TOLD) -> dict[str, Any]:
    """Return the plan from now on: powers in W with the sign of the load convention, prices in mct per kWh."""
    steps = []
    for index, (interval, action) in enumerate(zip(plan.problem.intervals, plan.actions, strict=True)):
        if interval.end <= now or interval.start >= now + horizon:
            continue
        aim = steer(plan, index)
        steps.append(
            {
                "start": interval.start.isoformat(),
                "minutes": round(interval.hours * 60),
                "load_w": round(interval.load_wh / interval.hours),
                "pv_w": round(interval.pv_wh / interval.hours),
                "curtailed_w": round(action.curtailed_wh / interval.hours),
                "battery_w": round(sum(action.battery_wh) / interval.hours),
                "grid_w": round(plan.outcome.grid_wh[index] / interval.hours),
                "stored_wh": round(sum(plan.outcome.stored_wh[index])),
                "buy_mct_per_kwh": round(interval.buy_mct_per_kwh),
                "sell_mct_per_kwh": round(interval.sell_mct_per_kwh),
                "aim": aim.aim.value,
                "why": aim.words,
                "loads": [
                    {"device": each.device, "power_w": round(taken_wh / interval.hours), "why": each.words}
                    for each, taken_wh in zip(load_aims(plan, index), action.load_wh, strict=True)
                ],
            }
        )
    return {
        "method": plan.method.value,
        "why": plan.why,
        "cost_mct": round(plan.outcome.cost_mct),
        "limits_passed": [
            f"{each.limit.value}{f' of {each.device}' if each.device else ''} at {each.start:%d %b %H:%M} UTC"
            f" by {each.amount:.0f}"
            for each in plan.outcome.violations
        ],
        "steps": steps,
    }
