"""What a vendor's own name of a register means to us: the likely canonical name, to be looked at by a person. Pure.

A guess is made of the words of the name, of the unit, and of what the device is; nothing is believed for it.
"""

import re
from collections.abc import Collection

from edge.devices.points import Kind

_PHASES = {
    1: re.compile(r"\b(l1|phase 1|phase a|a phase|r phase|phase r|p1)\b"),
    2: re.compile(r"\b(l2|phase 2|phase b|b phase|s phase|phase s|p2)\b"),
    3: re.compile(r"\b(l3|phase 3|phase c|c phase|t phase|phase t|p3)\b"),
}
_LINES = {
    "l1_l2": re.compile(r"\b(l1 l2|l12|ab|uab|u12)\b"),
    "l2_l3": re.compile(r"\b(l2 l3|l23|bc|ubc|u23)\b"),
    "l3_l1": re.compile(r"\b(l3 l1|l31|ca|uca|u31)\b"),
}
_DC = re.compile(r"\b(?:pv|mppt|string|dc|mpp)\s?(\d)\b")
_EXPORT = ("export", "exported", "reverse", "feed in", "feedin", "delivered", "negative", "sold", "einspeisung")
_IMPORT = ("import", "imported", "forward", "consumed", "consumption", "positive", "bought", "bezug", "purchase")
_LIMIT = ("limit", "max", "maximum", "setpoint", "derating", "curtail", "curtailment")
_TOTAL = {
    "Hz": "frequency_hz",
    "V": "voltage_v",
    "A": "current_a",
    "W": "active_power_w",
    "VA": "apparent_power_va",
    "var": "reactive_power_var",
}


def canonical_name(name: str, *, unit: str, kinds: Collection[Kind], writable: bool = False) -> str:
    """Return the canonical name that a register of this name and unit most likely has; it ends in the unit.

    Args:
        unit: Ours, such as ``W`` or ``Wh``; empty where the register has none.
        writable: Whether it is written, as limits are.
    """
    words = " ".join(re.findall(r"[a-z0-9]+", name.lower()))
    battery = _has(words, "battery", "batt", "bat", "storage") or set(kinds) == {Kind.BATTERY}
    match unit:
        case "V" | "A" | "W" | "VA" | "var" | "Hz":
            return _electrical(words, unit, kinds, battery=battery, writable=writable)
        case "Wh":
            return _energy(words, battery=battery)
        case "%":
            return _percent(words, writable=writable)
        case "°C":
            return f"{slug(name).removesuffix('_c').removesuffix('_temperature').removesuffix('_temp')}_temperature_c"
        case "":
            return _nameless(words, name, kinds)
    return f"{slug(name)}_{slug(unit)}"


def slug(name: str) -> str:
    """Return a name as a key: small letters, digits and underscores, a letter first."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return plain if plain and plain[0].isalpha() else f"r_{plain}".rstrip("_")


def _electrical(words: str, unit: str, kinds: Collection[Kind], *, battery: bool, writable: bool) -> str:
    quantity = _TOTAL[unit]
    if unit == "V" and (line := next((line for line, pattern in _LINES.items() if pattern.search(words)), None)):
        return f"voltage_{line}_v"
    if string := _DC.search(words):
        return f"dc{string[1]}_{quantity.removeprefix('active_')}"
    if battery and unit in ("V", "A", "W"):
        return f"battery_{quantity.removeprefix('active_')}"
    phase = next((number for number, pattern in _PHASES.items() if pattern.search(words)), None)
    if phase is not None:
        stem, _, end = quantity.rpartition("_")
        return f"{stem}_l{phase}_{end}"
    if unit == "W":
        return _power(words, kinds, writable=writable)
    if unit == "A" and Kind.CHARGER in kinds and (writable or _has(words, *_LIMIT)):
        return "ev_max_current_a"
    return quantity


def _power(words: str, kinds: Collection[Kind], *, writable: bool) -> str:
    if _has(words, "rated", "nominal"):
        return "rated_power_w"
    if _has(words, "export") and (writable or _has(words, *_LIMIT)):
        return "export_limit_w"
    if writable or _has(words, *_LIMIT):
        return "power_limit_w"
    if _has(words, "grid", "meter") and set(kinds) != {Kind.METER}:
        return "grid_power_w"
    return "pv_power_w" if _has(words, "pv", "dc", "solar") else "active_power_w"


def _energy(words: str, *, battery: bool) -> str:
    if _has(words, "today", "daily", "day"):
        return "energy_today_wh"
    if battery and _has(words, "discharge", "discharged"):
        return "energy_discharged_wh"
    if battery and _has(words, "charge", "charged"):
        return "energy_charged_wh"
    if _has(words, "session"):
        return "energy_session_wh"
    way = "export" if _has(words, *_EXPORT) else "import" if _has(words, *_IMPORT) else ""
    phase = next((number for number, pattern in _PHASES.items() if pattern.search(words)), None)
    if way:
        return f"energy_{way}_wh" if phase is None else f"energy_{way}_l{phase}_wh"
    return "energy_yield_wh" if _has(words, "yield", "generation", "generated", "pv", "produced") else "energy_total_wh"


def _percent(words: str, *, writable: bool) -> str:
    if _has(words, "soh", "health"):
        return "soh_pct"
    if _has(words, "soc", "state of charge", "charge level") and not writable:
        return "soc_pct"
    return "power_limit_pct" if writable or _has(words, *_LIMIT) else f"{slug(words)}_pct"


def _nameless(words: str, name: str, kinds: Collection[Kind]) -> str:
    if _has(words, "serial"):
        return "serial_number"
    if _has(words, "firmware", "version", "software"):
        return "firmware_version"
    if _has(words, "manufacturer", "vendor"):
        return "manufacturer"
    if _has(words, "model", "type"):
        return "model"
    if _has(words, "power factor", "cos phi", "cosphi", "pf"):
        return "power_factor"
    if _has(words, "state", "status", "mode"):
        return "ev_state" if Kind.CHARGER in kinds else "operating_state"
    if _has(words, "alarm", "error", "fault"):
        return "alarm_bits"
    return f"{slug(name)}_number"


def _has(words: str, *wanted: str) -> bool:
    return any(re.search(rf"\b{one}\b", words) for one in wanted)
