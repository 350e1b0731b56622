"""Home Assistant's discovery: what it has to be told so that a site's devices and values appear by themselves.

Source: Home Assistant, "MQTT", sections discovery, sensor, switch, number; device and state classes of "Sensor".
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from edge.plain.settings import NUMBERS, Control, HomeAssistantSettings
from edge.plain.values import device_online_topic, site_online_topic, value_topic

EXPIRE_S: Final = 180  # Three of the minutes in which everything is told anew.
ON: Final = b"ON"
OFF: Final = b"OFF"

# By the unit that ends a point's name: device class, unit as Home Assistant writes it, state class.
_KINDS: Final[dict[str, tuple[str, str, str]]] = {
    "w": ("power", "W", "measurement"),
    "wh": ("energy", "Wh", "total_increasing"),
    "va": ("apparent_power", "VA", "measurement"),
    "var": ("reactive_power", "var", "measurement"),
    "v": ("voltage", "V", "measurement"),
    "a": ("current", "A", "measurement"),
    "hz": ("frequency", "Hz", "measurement"),
    "c": ("temperature", "°C", "measurement"),
    "pct": ("battery", "%", "measurement"),
}


def sensor(settings: HomeAssistantSettings, *, site: str, device: str, profile: str, point: str) -> tuple[str, bytes]:
    """Return topic and payload that make a value appear; one without a unit that is known is shown as text."""
    kind = _KINDS.get(point.rpartition("_")[2]) if "_" in point else None
    if kind is not None and kind[0] == "battery" and not point.startswith("soc"):
        kind = None
    config: dict[str, Any] = {
        "name": _words(point),
        "unique_id": f"sitewatt_{site}_{device}_{point}",
        "state_topic": value_topic(settings.topic, site, device, point),
        "availability": [
            {"topic": site_online_topic(settings.topic, site)},
            {"topic": device_online_topic(settings.topic, site, device)},
        ],
        "availability_mode": "all",
        "expire_after": EXPIRE_S,
        "device": {
            "identifiers": [f"sitewatt_{site}_{device}"],
            "name": f"{site} {device}",
            "model": profile,
            "via_device": f"sitewatt_{site}",
        },
        "origin": {"name": "sitewatt"},
    }
    if kind is not None:
        config["device_class"], config["unit_of_measurement"], config["state_class"] = kind
    return _topic(settings, "sensor", site, f"{device}_{point}"), _encoded(config)


def lock_switch(settings: HomeAssistantSettings, *, site: str) -> tuple[str, bytes]:
    """Return topic and payload of the switch that locks the site for maintenance."""
    config = {
        "name": "Maintenance lock",
        "unique_id": f"sitewatt_{site}_lock",
        "state_topic": control_topic(settings, Control.LOCK, site=site),
        "command_topic": f"{control_topic(settings, Control.LOCK, site=site)}/set",
        "payload_on": ON.decode(),
        "payload_off": OFF.decode(),
        "availability": [{"topic": site_online_topic(settings.topic, site)}],
        "device": {"identifiers": [f"sitewatt_{site}"], "name": site, "manufacturer": "sitewatt"},
        "origin": {"name": "sitewatt"},
    }
    return _topic(settings, "switch", site, "lock"), _encoded(config)


def number(settings: HomeAssistantSettings, control: Control, *, site: str, most: int) -> tuple[str, bytes]:
    """Return topic and payload of a number that may be set, in W up to what the site's file allows."""
    config = {
        "name": _words(control.value),
        "unique_id": f"sitewatt_{site}_{control.value}",
        "state_topic": control_topic(settings, control, site=site),
        "command_topic": f"{control_topic(settings, control, site=site)}/set",
        "min": 1 if control is Control.IMPORT_LIMIT_W else 0,
        "max": most,
        "step": 1,
        "mode": "box",
        "device_class": "power",
        "unit_of_measurement": "W",
        "availability": [{"topic": site_online_topic(settings.topic, site)}],
        "device": {"identifiers": [f"sitewatt_{site}"], "name": site, "manufacturer": "sitewatt"},
        "origin": {"name": "sitewatt"},
    }
    return _topic(settings, "number", site, control.value), _encoded(config)


def control_topic(settings: HomeAssistantSettings, control: Control, *, site: str) -> str:
    """Return the topic that tells what a control stands at; ``/set`` behind it sets it."""
    return f"{settings.topic}/{site}/{control.value}"


def everything(
    settings: HomeAssistantSettings,
    *,
    site: str,
    profiles: dict[str, str],
    points: Iterable[tuple[str, str]],
    most: Mapping[Control, int],
) -> dict[str, bytes]:
    """Return all discovery messages of a site.

    Args:
        settings: Where, and what may be set.
        site: The site's id.
        profiles: The profile of each device.
        points: Device and point of each value that is told.
        most: The most that each number may be set to.
    """
    found = dict(
        sensor(settings, site=site, device=device, profile=profiles.get(device, ""), point=point)
        for device, point in points
    )
    if Control.LOCK in settings.controls:
        found.update([lock_switch(settings, site=site)])
    found.update(number(settings, one, site=site, most=most[one]) for one in settings.controls if one in NUMBERS)
    return found


def _topic(settings: HomeAssistantSettings, component: str, site: str, name: str) -> str:
    # An object id takes letters, digits, "_" and "-" alone.
    safe = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "_-") else "_" for sign in f"{site}_{name}")
    return f"{settings.discovery_prefix}/{component}/sitewatt/{safe}/config"


def _words(point: str) -> str:
    stem, _, unit = point.rpartition("_")
    words = (stem if unit in _KINDS else point).replace("_", " ")
    return words[:1].upper() + words[1:]


def _encoded(config: dict[str, Any]) -> bytes:
    return json.dumps(config, ensure_ascii=False, sort_keys=True).encode()
