"""A site's readings as lines that InfluxDB and VictoriaMetrics take. Pure.

Source: InfluxData, "Line protocol reference" (InfluxDB 1.8 and 2): measurement, tags, fields, nanoseconds; escapes.
"""

import math
import re
from collections.abc import Collection
from datetime import datetime
from typing import Final

from contracts.units import Quality
from edge.modbus.point import Reading
from edge.plain.values import TEXT_MAX, Readings

MEASUREMENT: Final = "sitewatt"
_SPECIAL_IN_KEYS: Final = re.compile(r"([,= ])")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def lines(readings: Readings, *, offline: Collection[str], site: str, at: datetime) -> str:
    """Return one line for each device: ``sitewatt,site=S,device=D online=true,active_power_w=1500 NANOSECONDS``.

    Every number is a float, so that a register that tells 0 once and 0.5 later keeps one type. What is not good, not
    finite or unknown has no field, and a device that is silent says so alone.

    Args:
        readings: Of each device by canonical name; the end of a name is its unit, power is positive into the device.
        offline: The devices that do not answer.
        site: The site's id.
        at: When the devices were read, aware UTC.
    """
    nanoseconds = round(at.timestamp() * 1e6) * 1000
    told = []
    for device, points in readings.items():
        silent = device in offline
        fields = [f"online={'false' if silent else 'true'}"]
        if not silent:
            fields += [f"{_key(point)}={value}" for point, one in points.items() if (value := _value(one)) is not None]
        told.append(f"{MEASUREMENT},site={_key(site)},device={_key(device)} {','.join(fields)} {nanoseconds}")
    return "\n".join(told)


def _value(reading: Reading) -> str | None:
    value = reading.value
    if reading.quality is not Quality.GOOD or value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = _CONTROL.sub("?", value[:TEXT_MAX]).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    number = float(value)
    return f"{number:.10g}" if math.isfinite(number) else None


def _key(text: str) -> str:
    """Return a tag's key or value, or a field's key, with what would end it escaped."""
    return _SPECIAL_IN_KEYS.sub(r"\\\1", _CONTROL.sub("?", text))
