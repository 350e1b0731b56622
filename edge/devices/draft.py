"""A new profile as text: what a list of registers or a look at a device gave, in the form of those that ship. Pure.

A draft is a start: signs that nobody confirmed are kept as the device counts, and every register counts as known from
one source until somebody says otherwise.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from edge.devices.points import Kind
from edge.devices.recipes import Lever
from edge.devices.register_list import Move, RegisterList
from edge.errors import ConfigError
from edge.modbus.point import Table

KEEPS = "keeps"
_READS = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
_DIRECTION = {
    Lever.BATTERY_POWER: "self_consumption",
    Lever.GRID_SETPOINT: "self_consumption",
    Lever.LIMIT_CONSUMPTION: "failsafe_value",
}


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What a profile says before its registers.

    Args:
        framing: ``tcp``, ``rtu``, ``rtu_over_tcp`` or ``ascii``.
        baud: Of a serial line; ``line`` its parity and bits, as ``8N1``.
        functions: Those for writing that the device takes besides the reads.
    """

    id: str
    vendor: str
    models: tuple[str, ...]
    kinds: tuple[Kind, ...]
    sources: tuple[str, ...]
    framing: str = "tcp"
    port: int = 502
    unit: int = 1
    baud: int = 9600
    line: str = "8N1"
    functions: tuple[int, ...] = (6, 16)
    notes: tuple[str, ...] = ()


def profile_text(heading: Heading, registers: RegisterList, *, left_over: Iterable[str] = ()) -> str:
    """Return the profile, ready to be written and to be checked.

    Args:
        left_over: Lines about registers that nobody knows the meaning of; they become comments.

    Raises:
        ConfigError: The registers that move a lever do not make one.
    """
    points = registers.points
    sections = [
        f"# {heading.vendor}: {', '.join(heading.models)}",
        "# A draft. Addresses are zero-based, as sent on the wire; a value is (raw + offset) * scale in its unit.",
        "# Look at every canonical name and sign; then: sitewatt profile check FILE",
        _block(_head(heading, points)),
        _block({"link": _link(heading, points, is_written=bool(registers.writes))}),
        "points:\n" + "".join(f"  {name}: {_flow(spec)}\n" for name, spec in points.items()),
    ]
    comments = [f"# {line}" for line in left_over]
    if comments:
        sections.append("\n".join(comments) + "\n")
    if registers.writes:
        rules = "".join(f"  {name}: {_flow(rule)}\n" for name, rule in registers.writes.items())
        sections.append(f"writes: # In the unit and sign of the device.\n{rules}")
    if registers.moves:
        sections.append(_block({"capabilities": _capabilities(registers)}))
    return "\n".join(sections)


def _head(heading: Heading, points: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    confirmed = sum("evidence" not in spec for spec in points.values())
    return {
        "id": heading.id,
        "vendor": heading.vendor,
        "models": list(heading.models),
        "kinds": [kind.value for kind in heading.kinds],
        "status": "two_sources" if 2 * confirmed > len(points) else "one_source",
        "sources": list(heading.sources),
        **({"notes": list(heading.notes)} if heading.notes else {}),
    }


def _link(heading: Heading, points: Mapping[str, Mapping[str, Any]], *, is_written: bool) -> dict[str, Any]:
    tables = {Table(spec.get("table", Table.HOLDING)) for spec in points.values()}
    coils = (5, 15) if any(spec.get("access") and spec.get("table") == "coil" for spec in points.values()) else ()
    written = {*heading.functions, *coils} if is_written else set()
    link: dict[str, Any] = {"framing": heading.framing}
    if heading.framing in ("tcp", "rtu_over_tcp"):
        link["port"] = heading.port
    link["unit"] = heading.unit
    if heading.framing in ("rtu", "ascii"):
        link["serial"] = {"baud": heading.baud, "format": heading.line}
    link["functions"] = sorted({_READS[table] for table in tables} | written)
    return link


def _capabilities(registers: RegisterList) -> dict[str, Any]:
    levers = dict.fromkeys(move.lever for move in registers.moves)
    return {
        lever.value: _recipe(lever, [one for one in registers.moves if one.lever is lever], registers)
        for lever in levers
    }


def _recipe(lever: Lever, moves: Sequence[Move], registers: RegisterList) -> dict[str, Any]:
    """Return how a lever is moved by the one register that holds its value, and by what goes with it."""
    values = [one for one in moves if not one.part]
    if len(values) != 1:
        raise ConfigError(
            f"lever {lever.value} is moved by {len(values)} registers, expected one besides enable and timer"
        )
    value = values[0]
    enables = {one.point: 1 for one in moves if one.part == "enable"}
    timers = {one.point: "revert_s" for one in moves if one.part == "timer"}
    before, free = {**timers, **enables}, dict.fromkeys(enables, 0)
    modes, released = _modes(lever, value.point, registers.points[value.point])
    restore = free or released
    return {
        **({"base": "configured"} if lever not in (Lever.SWITCH, Lever.GRID_SETPOINT) else {}),
        "modes": {mode: [{"write": {**before, **written}}] for mode, written in modes.items()},
        "restore": [{"write": restore}] if restore else [],
        **_fallback(lever, value, next(iter(timers), None)),
    }


def _modes(lever: Lever, point: str, spec: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return what each mode writes to the register, and what takes the restriction away."""
    unit = str(spec.get("unit", ""))
    if lever is Lever.SWITCH:
        return {"on": {point: 1}, "off": {point: 0}}, {point: 1}
    ends = {"W": "w", "%": "pct", "A": "a"}
    if unit not in ends:
        raise ConfigError(f"lever {lever.value}: {point} has the unit {unit!r}, expected W, % or A")
    if lever is Lever.BATTERY_POWER:
        power = f"power_{ends[unit]}"
        return {"charge": {point: power}, "discharge": {point: power}, "hold": {point: 0}}, {point: 0}
    if lever is Lever.GRID_SETPOINT:
        return {"set": {point: f"power_{ends[unit]}"}}, {point: 0}
    whole: float | str = 100 if unit == "%" else f"base_{ends[unit]}"
    return {"limit": {point: f"limit_{ends[unit]}"}}, {point: whole}


def _fallback(lever: Lever, value: Move, timer: str | None) -> dict[str, Any]:
    direction = _DIRECTION.get(lever, "released")
    if timer is not None:
        return {"fallback": {"direction": direction, "armed_by": timer}}
    if value.silence == KEEPS:
        return {"fallback": {"direction": KEEPS}}
    after_s = float(value.silence)
    return {"fallback": {"direction": direction, "after_s": after_s}, "refresh_s": after_s / 3}


def _block(content: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None))


def _flow(content: Mapping[str, Any]) -> str:
    text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=True)
    return str(text).strip()
