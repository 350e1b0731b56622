"""The course of a site's power and energy over a span, from its history: what charts and totals of the page show."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edge.config import DeviceRole, SiteConfig
from edge.telemetry.history_file import FILE, TIERS, Row, read_history

BINS_MAX: Final = 400
SPAN_S_MAX: Final = 5 * 366 * 86_400
_RATES = Callable[[datetime], tuple[int, int]]
# The finished steps of so many seconds that a gateway holds in memory.
Unwritten = Callable[[int], Iterable[Row]]


def all_written(_: int) -> tuple[Row, ...]:
    """Return no step: the file holds all that there is."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Names:
    """Which points of the history are what on this site."""

    grid: str
    pv: tuple[str, ...]
    battery: tuple[str, ...]
    soc: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Powers:
    """Means of one step in W; generation is zero or less, batteries positive while they charge."""

    start_s: int
    hours: float
    grid_w: float
    pv_w: float
    battery_w: float
    soc_percent: float | None

    @property
    def used_w(self) -> float:
        """Return what house and loads took. Formula: the connection's power is the sum of the assets'."""
        return self.grid_w - self.pv_w - self.battery_w


def names_of(config: SiteConfig) -> Names:
    """Return the points that tell a site's power, by the roles of its devices."""
    roles = {device.id: device.role for device in config.devices}
    plain_pv = tuple(f"{name}/active_power_w" for name, role in roles.items() if role is DeviceRole.PV)
    hybrid = [name for name, role in roles.items() if role is DeviceRole.HYBRID]
    storing = [name for name, role in roles.items() if role in {DeviceRole.HYBRID, DeviceRole.BATTERY}]
    return Names(
        grid=f"{config.connection.meter}/active_power_w",
        pv=(*plain_pv, *(f"{name}/pv_power_w" for name in hybrid)),
        battery=tuple(f"{name}/battery_power_w" for name in storing),
        soc=tuple(f"{name}/soc_pct" for name in storing),
    )


def read_course(
    state_dir: Path,
    names: Names,
    *,
    first_s: int,
    last_s: int,
    rates: _RATES | None = None,
    unwritten: Unwritten = all_written,
) -> dict[str, Any]:
    """Return the course between two epoch seconds as JSON values: W in at most ``BINS_MAX`` bins, and totals in kWh.

    Args:
        state_dir: The gateway's state folder.
        names: Which points are what.
        first_s: Included.
        last_s: Left out.
        rates: What a kWh costs and brings at an instant, in thousandths of a cent; ``None`` where nobody knows.
        unwritten: Returns the steps of so many seconds that a running gateway has not written yet.

    Raises:
        ValueError: The span is empty, or longer than the history reaches.
        sqlite3.Error: There is no history, or it cannot be read.
    """
    if not 0 < last_s - first_s <= SPAN_S_MAX:
        raise ValueError(f"the span {first_s} to {last_s} must be longer than 0 and at most {SPAN_S_MAX} s")
    tier_s = next(tier.step_s for tier in TIERS if tier.step_s * tier.rows_max >= last_s - first_s)
    # What is in memory is asked first: a row that is written meanwhile is then in both, and in none otherwise.
    newest = {row.start_s: row for row in unwritten(tier_s) if first_s <= row.start_s < last_s}
    written = read_history(state_dir / FILE, step_s=tier_s, first_s=first_s, last_s=last_s)
    rows = {row.start_s: row for row in written} | newest
    steps = [powers for _, row in sorted(rows.items()) if (powers := _powers(row, names)) is not None]
    bin_s = max(tier_s, -(-(last_s - first_s) // BINS_MAX // tier_s) * tier_s)
    bins = _binned(steps, bin_s)
    return {
        "bin_s": bin_s,
        "at": [each.start_s for each in bins],
        "grid_w": [round(each.grid_w) for each in bins],
        "pv_w": [round(each.pv_w) for each in bins],
        "battery_w": [round(each.battery_w) for each in bins],
        "used_w": [round(each.used_w) for each in bins],
        "soc_percent": [None if each.soc_percent is None else round(each.soc_percent, 1) for each in bins],
        "totals": totals(steps, rates=rates),
    }


def totals(steps: Iterable[Powers], *, rates: _RATES | None) -> dict[str, float | None]:
    """Return kWh bought, sold, generated, charged, discharged and used, what of it is the site's own, and what it cost.

    ``own_percent`` is the share of what was used that did not come from the grid; ``cost_eur`` is what was bought less
    what was sold, at the tariff.
    """
    sums = dict.fromkeys(("imported_wh", "exported_wh", "pv_wh", "charged_wh", "discharged_wh", "used_wh"), 0.0)
    cost_mct = 0.0
    for each in steps:
        bought_wh, sold_wh = max(0.0, each.grid_w) * each.hours, max(0.0, -each.grid_w) * each.hours
        sums["imported_wh"] += bought_wh
        sums["exported_wh"] += sold_wh
        sums["pv_wh"] += max(0.0, -each.pv_w) * each.hours
        sums["charged_wh"] += max(0.0, each.battery_w) * each.hours
        sums["discharged_wh"] += max(0.0, -each.battery_w) * each.hours
        sums["used_wh"] += max(0.0, each.used_w) * each.hours
        if rates is not None:
            buys, sells = rates(datetime.fromtimestamp(each.start_s, UTC))
            cost_mct += (bought_wh * buys - sold_wh * sells) / 1000
    used_wh = sums["used_wh"]
    own = None if used_wh <= 0 else max(0.0, 1 - sums["imported_wh"] / used_wh) * 100
    return {
        **{f"{name.removesuffix('_wh')}_kwh": round(total / 1000, 3) for name, total in sums.items()},
        "own_percent": None if own is None else round(own, 1),
        "cost_eur": None if rates is None else round(cost_mct / 100_000, 2),
    }


def _powers(row: Row, names: Names) -> Powers | None:
    """Return a step's powers, ``None`` where the meter or a generator was silent: a balance without them is wrong."""
    values = row.values
    if names.grid not in values or not all(name in values for name in names.pv):
        return None
    charges = [values[name] for name in names.soc if name in values]
    return Powers(
        start_s=row.start_s,
        hours=row.step_s / 3600,
        grid_w=values[names.grid],
        pv_w=sum(values[name] for name in names.pv),
        battery_w=sum(values.get(name, 0.0) for name in names.battery),
        soc_percent=sum(charges) / len(charges) if charges else None,
    )


def _binned(steps: Sequence[Powers], bin_s: int) -> list[Powers]:
    """Return means over longer bins."""
    groups: dict[int, list[Powers]] = {}
    for each in steps:
        groups.setdefault(each.start_s // bin_s * bin_s, []).append(each)
    return [_mean(start_s, group) for start_s, group in groups.items()]


def _mean(start_s: int, group: Sequence[Powers]) -> Powers:
    charges = [each.soc_percent for each in group if each.soc_percent is not None]
    count = len(group)
    return Powers(
        start_s=start_s,
        hours=sum(each.hours for each in group),
        grid_w=sum(each.grid_w for each in group) / count,
        pv_w=sum(each.pv_w for each in group) / count,
        battery_w=sum(each.battery_w for each in group) / count,
        soc_percent=sum(charges) / len(charges) if charges else None,
    )
