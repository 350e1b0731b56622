"""One day of a site as a drawing (SVG): powers, what is stored, the price."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.trading.plan.season import Quarter, Season

_WIDTH, _HEIGHT, _LEFT, _TOP, _PANEL = 760, 520, 64, 28, 140
_COLOURS = {"load": "#444444", "generation": "#d99000", "battery": "#2a7f3f", "grid": "#2060b0"}


def day_svg(quarters: "Sequence[Quarter]", season: "Season") -> str:
    """Return the drawing of some quarters: powers in kW, stored energy in kWh, buying price in ct per kWh."""
    first = round((quarters[0].start - season.start).total_seconds() / 900)
    powers = {
        "load": [each.load_wh / 250 for each in quarters],
        "generation": [(each.pv_wh + each.curtailed_wh) / 250 for each in quarters],
        "battery": [each.battery_wh / 250 for each in quarters],
        "grid": [each.grid_wh / 250 for each in quarters],
    }
    return _drawing(
        quarters[0].start,
        title=f"{quarters[0].start:%Y-%m-%d %H:%M} UTC, one day in quarters of an hour",
        powers=powers,
        stored=[each.stored_wh / 1000 for each in quarters],
        prices=[season.buy_mct_per_kwh[first + index] / 1000 for index in range(len(quarters))],
    )


def plan_svg(plan: Mapping[str, Any]) -> str:
    """Return the drawing of a running gateway's plan: what came in the last hours, a line for now, what is to come."""
    past, to_come = _quarters(plan.get("past", ())), _quarters(plan["steps"])
    steps = [*past, *to_come]
    start = datetime.fromisoformat(steps[0]["start"]).astimezone()
    names = {"load": "load_w", "generation": "pv_w", "battery": "battery_w", "grid": "grid_w"}
    return _drawing(
        start,
        title=f"{start:%Y-%m-%d %H:%M %Z}: what came, and what is planned ({plan['method']})",
        powers={name: [step[key] / 1000 for step in steps] for name, key in names.items()},
        stored=[step["stored_wh"] / 1000 for step in steps],
        prices=[(step["buy_mct_per_kwh"] or 0) / 1000 for step in steps],
        now=len(past),
    )


def _quarters(steps: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return each step once for every quarter of an hour that it lasts, the one that has begun as a whole one."""
    return [step for step in steps for _ in range(max(1, round(step["minutes"] / 15)))]


def _drawing(
    start: datetime,
    *,
    title: str,
    powers: dict[str, list[float]],
    stored: list[float],
    prices: list[float],
    now: int | None = None,
) -> str:
    """Return three panels over the same quarters, with a line at ``now`` where it is inside."""
    count = len(stored)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="16">{title}</text>',
        *_panel(0, "kW", powers, _COLOURS),
        *_panel(1, "stored kWh", {"stored": stored}, {"stored": "#2a7f3f"}),
        *_panel(2, "ct/kWh", {"price": prices}, {"price": "#a03030"}),
    ]
    if now is not None:
        x = f"{_x(now, count):.1f}"
        parts.append(f'<line x1="{x}" x2="{x}" y1="{_TOP}" y2="{_HEIGHT - 24}" stroke="#888888" stroke-dasharray="3"/>')
    for hour in range(0, count // 4 + 1, 3):
        parts.append(f'<text x="{_x(hour * 4, count):.0f}" y="{_HEIGHT - 8}">{(start.hour + hour) % 24:02d}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _x(index: int, count: int) -> float:
    return _LEFT + index * (_WIDTH - _LEFT - 16) / max(1, count)


def _panel(number: int, unit: str, lines: dict[str, list[float]], colours: dict[str, str]) -> list[str]:
    """Return one panel with its own scale, zero included."""
    values = [value for line in lines.values() for value in line]
    low, high = min(0.0, *values), max(0.0, *values)
    span = high - low or 1.0
    top = _TOP + number * (_PANEL + 22)

    def y(value: float) -> float:
        return top + _PANEL * (high - value) / span

    found = [
        f'<line x1="{_LEFT}" x2="{_WIDTH - 16}" y1="{y(0):.1f}" y2="{y(0):.1f}" stroke="#bbbbbb"/>',
        f'<text x="4" y="{top + 12}">{high:.1f}</text><text x="4" y="{top + _PANEL}">{low:.1f}</text>',
        f'<text x="4" y="{top + _PANEL / 2:.0f}">{unit}</text>',
    ]
    for place, (name, line) in enumerate(lines.items()):
        points = " ".join(
            f"{_x(index + side, len(line)):.1f},{y(value):.1f}" for index, value in enumerate(line) for side in (0, 1)
        )
        found.append(f'<polyline points="{points}" fill="none" stroke="{colours[name]}" stroke-width="1.5"/>')
        found.append(f'<text x="{_LEFT + 6 + 90 * place}" y="{top - 3}" fill="{colours[name]}">{name}</text>')
    return found
