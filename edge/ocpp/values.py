"""From the sampled values of either version to our names, units and signs. Pure.

Power is positive into the car. What stands in a message and is no finite number, or beyond what any station has, is
left out. Source: OCPP 1.6 edition 2, 7.43 SampledValue; OCPP 2.0.1 edition 2 part 2, 2.46 SampledValueType.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

ENERGY = "Energy.Active.Import.Register"  # What a sample is that does not say it.
POWER_W_MAX = 1_000_000.0
# Measurand to the start of our name, and the unit that it is in where the sample does not say it.
_NAMES: Mapping[str, tuple[str, str, str]] = {
    "Power.Active.Import": ("active_power", "w", "W"),
    "Power.Active.Export": ("export_power", "w", "W"),
    "Current.Import": ("current", "a", "A"),
    "Voltage": ("voltage", "v", "V"),
    ENERGY: ("energy_import", "wh", "Wh"),
    "SoC": ("ev_soc", "pct", "Percent"),
    "Frequency": ("frequency", "hz", "Hz"),
}
_FACTORS: Mapping[str, tuple[str, float]] = {
    "W": ("w", 1.0),
    "kW": ("w", 1000.0),
    "Wh": ("wh", 1.0),
    "kWh": ("wh", 1000.0),
    "A": ("a", 1.0),
    "V": ("v", 1.0),
    "Percent": ("pct", 1.0),
    "Hz": ("hz", 1.0),
}
_PHASES = {"L1": "l1", "L2": "l2", "L3": "l3", "L1-N": "l1", "L2-N": "l2", "L3-N": "l3"}
_PLACES = frozenset({"Outlet", "EV"})
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "w": (-POWER_W_MAX, POWER_W_MAX),
    "wh": (0.0, 1e13),
    "a": (-2000.0, 2000.0),
    "v": (0.0, 1500.0),
    "pct": (0.0, 100.0),
    "hz": (45.0, 65.0),
}


def values_of(samples: Iterable[Any]) -> dict[str, float]:
    """Return the values of one instant by canonical name; the total power is made of its phases where it is missing."""
    found: dict[str, float] = {}
    for sample in samples:
        if isinstance(sample, Mapping):
            named = _value(sample)
            if named is not None:
                found[named[0]] = named[1]
    _total(found, "active_power", "w")
    _total(found, "export_power", "w")
    export_w = found.pop("export_power_w", None)
    for phase in ("l1", "l2", "l3"):
        found.pop(f"export_power_{phase}_w", None)
    if export_w:
        found["active_power_w"] = found.get("active_power_w", 0.0) - export_w
    return found


def newest(meter_values: Iterable[Any]) -> tuple[datetime | None, dict[str, float]]:
    """Return the newest values of a message and when they were taken, by the station's clock; later ones win."""
    found: dict[str, float] = {}
    taken_at: datetime | None = None
    entries = [entry for entry in meter_values if isinstance(entry, Mapping)]
    for entry in sorted(entries, key=lambda entry: instant(entry.get("timestamp")) or datetime.min.replace(tzinfo=UTC)):
        samples = entry.get("sampledValue")
        if isinstance(samples, list):
            found |= values_of(samples)
            taken_at = instant(entry.get("timestamp")) or taken_at
    return taken_at, found


def instant(text: Any) -> datetime | None:
    """Return an instant of a message as aware UTC, ``None`` where it is none."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def number(value: Any) -> float | None:
    """Return a finite number of a message, which 1.6 writes as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def mean_voltage(values: Mapping[str, float]) -> float | None:
    """Return the mean of the measured phases, ``None`` where none is measured."""
    volts = [values[name] for name in ("voltage_l1_v", "voltage_l2_v", "voltage_l3_v") if values.get(name, 0.0) > 0]
    return sum(volts) / len(volts) if volts else None


def _value(sample: Mapping[str, Any]) -> tuple[str, float] | None:
    measurand = sample.get("measurand", ENERGY)
    known = _NAMES.get(measurand) if isinstance(measurand, str) else None
    raw = number(sample.get("value"))
    if known is None or raw is None or sample.get("format", "Raw") != "Raw":
        return None
    if sample.get("location", "Outlet") not in _PLACES:
        return None
    stem, kind, unit = known
    told, multiplier = sample.get("unit", unit), 0
    if isinstance(of := sample.get("unitOfMeasure"), Mapping):
        told, multiplier = of.get("unit", unit), of.get("multiplier", 0)
    factor = _FACTORS.get(told) if isinstance(told, str) else None
    if factor is None or factor[0] != kind or not isinstance(multiplier, int) or not -9 <= multiplier <= 9:
        return None
    value = raw * factor[1] * 10.0**multiplier
    low, high = _BOUNDS[kind]
    if not low <= value <= high:
        return None
    phase = sample.get("phase")
    if phase is None or phase == "N":
        return None if phase == "N" else (f"{stem}_{kind}", value)
    line = _PHASES.get(phase) if isinstance(phase, str) else None
    if line is None or kind in ("wh", "pct", "hz"):
        return None
    return f"{stem}_{line}_{kind}", value


def _total(found: dict[str, float], stem: str, kind: str) -> None:
    phases = [found[name] for name in (f"{stem}_{line}_{kind}" for line in ("l1", "l2", "l3")) if name in found]
    if phases and f"{stem}_{kind}" not in found:
        found[f"{stem}_{kind}"] = sum(phases)
