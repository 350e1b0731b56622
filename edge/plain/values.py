"""Plain values by topic, from what the devices of a site said: text for a number, nothing that nobody measured."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from contracts.units import Quality
from edge.modbus.point import Reading

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"
# Home Assistant takes it for a value that is not known. Source: its MQTT sensor, ``state_topic``.
UNKNOWN: Final = b"None"
TEXT_MAX: Final = 255  # Source: Home Assistant, longest state.
GAP_S_MAX: Final = 60.0  # A longer silence is no time in which the last power is known to have flowed.

Readings = Mapping[str, Mapping[str, Reading]]


def site_online_topic(topic: str, site: str) -> str:
    """Return the topic that says whether the gateway itself is there."""
    return f"{topic}/{site}/online"


def device_online_topic(topic: str, site: str, device: str) -> str:
    """Return the topic that says whether a device answers."""
    return f"{topic}/{site}/{device}/online"


def value_topic(topic: str, site: str, device: str, point: str) -> str:
    """Return the topic of one value; the end of ``point`` is its unit."""
    return f"{topic}/{site}/{device}/{point}"


def payload(reading: Reading) -> bytes:
    """Return a reading as text: a number with up to ten digits, ``on`` or ``off``, a text of bounded length."""
    value = reading.value
    if reading.quality is not Quality.GOOD or value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return b"on" if value else b"off"
    return (value[:TEXT_MAX] if isinstance(value, str) else f"{float(value):.10g}").encode()


def messages(readings: Readings, *, offline: Collection[str], topic: str, site: str) -> dict[str, bytes]:
    """Return payloads by topic: each device's presence and values; a silent device's values are unknown."""
    told: dict[str, bytes] = {}
    for device, points in readings.items():
        silent = device in offline
        told[device_online_topic(topic, site, device)] = OFFLINE if silent else ONLINE
        for point, reading in points.items():
            told[value_topic(topic, site, device, point)] = UNKNOWN if silent else payload(reading)
    return told


@dataclass(kw_only=True)
class EnergyCounters:
    """Energy in Wh since the start, by device and point, for devices that tell a power and count nothing.

    Formula: the sum of power times time between two looks, for what flows one way. A counter that begins anew at zero
    is one that was reset, which Home Assistant's ``total_increasing`` takes for what it is.
    """

    wh: dict[tuple[str, str], float] = field(default_factory=dict)
    _taken_s: float | None = None

    def count(self, readings: Readings, *, taken_s: float) -> None:
        """Add what flowed since the last look, at the powers of this one; ``taken_s`` is monotonic."""
        since_s = None if self._taken_s is None else taken_s - self._taken_s
        self._taken_s = taken_s
        if since_s is None or not 0 < since_s <= GAP_S_MAX:
            return
        for device, points in readings.items():
            for power_point, counter, sign in _COUNTED:
                reading = points.get(power_point)
                if reading is None or reading.quality is not Quality.GOOD or not isinstance(reading.value, int | float):
                    continue
                flowed_wh = max(0.0, sign * float(reading.value)) * since_s / 3600
                self.wh[device, counter] = self.wh.get((device, counter), 0.0) + flowed_wh

    def messages(self, *, topic: str, site: str) -> dict[str, bytes]:
        """Return payloads by topic, whole Wh."""
        return {
            value_topic(topic, site, device, counter): f"{wh:.0f}".encode() for (device, counter), wh in self.wh.items()
        }


_COUNTED: Final = (
    ("pv_power_w", "pv_energy_counted_wh", -1),
    ("battery_power_w", "battery_charge_counted_wh", 1),
    ("battery_power_w", "battery_discharge_counted_wh", -1),
)
