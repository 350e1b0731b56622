"""The plan of a site as text for an owner."""

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import Any


def plan_lines(plan: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each stretch of the plan with one aim, in the machine's local time."""
    yield f"planned by {plan['method']}{f' ({why})' if (why := plan['why']) else ''}"
    for limit in plan["limits_passed"]:
        yield f"cannot keep the {limit}"
    yield f"{'from':>11} {'to':>5} {'load':>7} {'pv':>7} {'battery':>8} {'grid':>7} {'stored':>8} {'buy':>7}  why"
    if plan.get("past"):
        yield from _step_lines(plan["past"])
        yield "now"
    yield from _step_lines(plan["steps"])
    yield from _load_lines(plan["steps"])
    yield "powers in W (into the site, into the battery positive), stored in Wh, buy in ct/kWh"


def _step_lines(all_steps: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each stretch with one aim."""
    for _, group in groupby(all_steps, key=lambda step: step["aim"]):
        steps = list(group)
        start = datetime.fromisoformat(steps[0]["start"]).astimezone()
        minutes = sum(step["minutes"] for step in steps)
        end = datetime.fromtimestamp(start.timestamp() + 60 * minutes).astimezone()

        def mean(name: str, steps: list[dict[str, Any]] = steps, minutes: int = minutes) -> float:
            return float(sum((step[name] or 0) * step["minutes"] for step in steps) / max(1, minutes))

        yield (
            f"{start:%a %d %H:%M} {end:%H:%M} {mean('load_w'):7.0f} {mean('pv_w'):7.0f} {mean('battery_w'):8.0f} "
            f"{mean('grid_w'):7.0f} {steps[-1]['stored_wh']:8} {mean('buy_mct_per_kwh') / 1000:7.1f}  {steps[0]['why']}"
        )


def _load_lines(steps: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each stretch in which one load does the same for the same reason."""
    for device in dict.fromkeys(load["device"] for step in steps for load in step.get("loads", ())):
        told = [(step, load) for step in steps for load in step.get("loads", ()) if load["device"] == device]
        for (power_w, why), group in groupby(told, key=lambda pair: (pair[1]["power_w"], pair[1]["why"])):
            stretch = [step for step, _ in group]
            start = datetime.fromisoformat(stretch[0]["start"]).astimezone()
            minutes = sum(step["minutes"] for step in stretch)
            end = datetime.fromtimestamp(start.timestamp() + 60 * minutes).astimezone()
            yield f"{start:%a %d %H:%M} {end:%H:%M} {device}: {power_w} W, {why}"
