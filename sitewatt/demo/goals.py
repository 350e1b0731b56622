"""Whether the devices that the plan moves got what they need, by what the plant says that they drew."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time
from itertools import pairwise
from typing import Any

from sitewatt.demo.neighbourhood import Goal, Neighbourhood

_MS_PER_H = 3_600_000


def goals_met(place: Neighbourhood, truth: Iterable[str]) -> list[dict[str, Any]]:
    """Return for each goal what its device took and whether that is what it needs.

    Args:
        place: The neighbourhood.
        truth: The lines that the plant wrote, in time order.
    """
    wanted = [(site.id, site.goal) for site in place.sites if site.goal is not None]
    powers: dict[str, list[tuple[int, float]]] = {name: [] for name, _ in wanted}
    for line in truth:
        content: Mapping[str, Any] = json.loads(line)
        for name, goal in wanted:
            powers[name].append((content["at"], content["sites"][name]["consumers_w"][goal.device]))
    return [
        {
            "site": name,
            "device": goal.device,
            "needed_wh": goal.energy_wh,
            "by": goal.by,
            "comfort_wh": goal.comfort_wh,
            **met(goal, powers[name]),
        }
        for name, goal in wanted
    ]


def met(goal: Goal, powers: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """Return what a device took by its time, or how far it was from its steady need, and whether that is enough.

    ``met`` is ``None`` where the story ended before the time, or nothing was recorded.

    Args:
        goal: What it needs.
        powers: Epoch milliseconds and W, in time order; each power holds until the next.
    """
    if not powers:
        return {"taken_wh": 0, "off_wh_max": 0, "met": None}
    if goal.by is not None:
        due = datetime.combine(datetime.fromtimestamp(powers[0][0] / 1000, UTC), time.fromisoformat(goal.by), UTC)
        due_ms = round(due.timestamp() * 1000)
        taken = sum(wh for end_ms, _, wh in _parts(powers) if end_ms <= due_ms)
        is_met = round(taken) >= goal.energy_wh if powers[-1][0] >= due_ms else None
        return {"taken_wh": round(taken), "off_wh_max": 0, "met": is_met}
    ahead, most, taken = 0.0, 0.0, 0.0
    for _, hours, wh in _parts(powers):
        taken += wh
        ahead += wh - goal.energy_wh / 24 * hours
        most = max(most, abs(ahead))
    return {"taken_wh": round(taken), "off_wh_max": round(most), "met": round(most) <= (goal.comfort_wh or 0)}


def told(row: Mapping[str, Any]) -> str:
    """Return a goal and what came of it as a line."""
    answer = {True: "met", False: "NOT met", None: "not due before the end"}[row["met"]]
    taken = f"{row['site']} {row['device']}: {row['taken_wh'] / 1000:.2f} kWh"
    if row["by"] is not None:
        return f"{taken} of {row['needed_wh'] / 1000:.2f} by {row['by']} UTC, {answer}"
    band = f"{row['off_wh_max'] / 1000:.2f} of {row['comfort_wh'] / 1000:.2f} kWh"
    return f"{taken}, at most {band} ahead or behind, {answer}"


def _parts(powers: Sequence[tuple[int, float]]) -> Iterator[tuple[int, float, float]]:
    """Yield each part's end, its hours and its energy in Wh."""
    for (at_ms, power_w), (next_ms, _) in pairwise(powers):
        hours = (next_ms - at_ms) / _MS_PER_H
        yield next_ms, hours, power_w * hours
