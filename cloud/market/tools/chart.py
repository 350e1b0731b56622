"""Price, volume, welfare and imbalance per interval as one SVG picture, drawn without a library."""

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

_WIDTH, _PANEL, _LEFT, _TOP = 900, 120, 150, 30
_PANELS = (
    ("price", "price, mct/kWh", "line"),
    ("volume_wh", "volume, Wh", "bar"),
    ("welfare_uct", "welfare, uct", "bar"),
    ("imbalance_wh", "imbalance, Wh", "bar"),
)


def picture(intervals: Sequence[dict[str, Any]], *, title: str) -> str:
    """Return an SVG of one panel for each quantity; an interval without a value leaves a gap."""
    height = _TOP + len(_PANELS) * (_PANEL + 20) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="10" y="18" font-size="14">{escape(title)}</text>',
    ]
    for place, (name, label, style) in enumerate(_PANELS):
        top = _TOP + place * (_PANEL + 20)
        parts += _panel([row.get(name) for row in intervals], top=top, label=label, style=style)
    return "\n".join([*parts, "</svg>", ""])


def _panel(values: list[int | None], *, top: int, label: str, style: str) -> list[str]:
    known = [value for value in values if value is not None]
    greatest, least = max([*known, 0]), min([*known, 0])
    span = max(1, greatest - least)
    step = (_WIDTH - _LEFT - 20) / max(1, len(values))

    def y_of(value: int) -> float:
        return round(top + _PANEL * (greatest - value) / span, 1)

    zero = y_of(0)
    parts = [
        f'<text x="10" y="{top + 14}">{escape(label)}</text>',
        f'<text x="{_LEFT - 6}" y="{top + 9}" text-anchor="end">{greatest}</text>',
        f'<text x="{_LEFT - 6}" y="{top + _PANEL}" text-anchor="end">{least}</text>',
        f'<line x1="{_LEFT}" x2="{_WIDTH - 20}" y1="{zero}" y2="{zero}" stroke="#999"/>',
    ]
    for place, value in enumerate(values):
        if value is None:
            continue
        x, y = round(_LEFT + place * step, 1), y_of(value)
        if style == "line":
            parts.append(f'<line x1="{x}" x2="{round(x + step, 1)}" y1="{y}" y2="{y}" stroke="#06c" stroke-width="2"/>')
        else:
            parts.append(
                f'<rect x="{x}" y="{min(y, zero)}" width="{round(step * 0.8, 1)}" '
                f'height="{round(abs(zero - y), 1)}" fill="#3a7"/>'
            )
    return parts
