"""What devices read, by the names that every profile gives to the same things; both processes know them."""

from collections.abc import Mapping
from datetime import datetime

from contracts.telemetry import Sample
from contracts.units import Quality
from edge.modbus.point import Reading

POWER = "active_power_w"
BATTERY_POWER = "battery_power_w"
PV_POWER = "pv_power_w"
SOC = "soc_pct"
IMPORT_ENERGY = "energy_import_wh"
EXPORT_ENERGY = "energy_export_wh"
CURRENTS = ("current_l1_a", "current_l2_a", "current_l3_a")

Readings = Mapping[str, Reading]


def samples(readings: Mapping[str, Readings], *, names: frozenset[str], now: datetime) -> list[Sample]:
    """Return the readings that telemetry reports, at their source times; a missing number keeps its quality."""
    found = []
    for device, values in readings.items():
        for name, reading in values.items():
            if name not in names:
                continue
            number = isinstance(reading.value, int | float) and not isinstance(reading.value, bool)
            found.append(
                Sample(
                    point=f"{device}/{name}",
                    at=reading.source_at or now,
                    value=float(reading.value) if number else None,  # type: ignore[arg-type]
                    quality=reading.quality if number else Quality.INVALID,
                )
            )
    return found
