"""Writes a configuration that explains itself: every key that the installer chose, and those that may be added."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from edge.config import BatterySection, SiteConfig
from edge.config.places import placed

CONFIG_MODE = 0o640  # Who runs the gateway may read it; it names keys, and holds none.

_HEAD = """\
# The configuration of one site. `sitewatt edge check --config FILE` proves it; the gateway reads it when it starts.
# Power is positive into the site: import and charging are positive. Limits are magnitudes.
"""

# What a section is for.
_SECTIONS: Mapping[str, str] = {
    "site": "Who the site is.",
    "connection": "Where the site meets the grid. Nothing and nobody moves the site beyond these limits.",
    "devices": "What is read and controlled; `sitewatt profile list` names the profiles.",
    "ocpp": "Where charging stations call; each is a device with a section ocpp (docs/ocpp.md).",
    "link": "The broker, none for a site by itself. No password stands here: name a file or a variable that holds it.",
    "state_dir": "Where the outbox is kept: what was measured and is not yet delivered survives there.",
    "profile_dir": "Register maps of your own; they go before ours.",
    "control": "How the site is controlled.",
    "commands": "Whose commands the site obeys. Nobody's, where this is empty.",
    "telemetry": "What is reported, and how often.",
    "fleet": "By its fleet a gateway is renewed, updated and set from afar; it has its certificate from there.",
    "trading": "What energy costs when it is not traded, in thousandths of a cent per kWh.",
}

# What a key means, beside its value.
_KEYS: Mapping[str, str] = {
    "site.id": "its name at the broker: small letters, digits, dashes",
    "site.zone": "its price area",
    "site.agent": "producer, consumer or monitor (reads only)",
    "site.latitude_deg": "where the sun is looked up for the forecast; longitude_deg with it",
    "site.time_zone": "the clock of targets and goals, where no tariff tells one: Europe/Berlin",
    "site.weather": "who forecasts the weather there, where the gateway asks by itself",
    "site.holidays": "the calendar of its days of rest, as DE or DE-BY: its load is forecast by it",
    "connection.meter": "the device that measures at the connection point",
    "connection.import_limit_w": "fuse or contract, whichever is less",
    "connection.export_limit_w": "what may be fed in; 0 feeds in nothing",
    "connection.phase_limit_w": "fuse of each phase; needs a meter that tells the phases",
    "devices.role": "meter, pv, hybrid, battery, load or relay",
    "devices.pv_peak_w": "rated generation",
    "devices.pv_planes": "how its panels look: tilt_deg, azimuth_deg (180 is south), peak_w of each",
    "devices.battery.capacity_wh": "usable",
    "devices.battery.charge_limit_w": "greatest charging power",
    "devices.battery.discharge_limit_w": "greatest discharging power",
    "devices.battery.soc_min_percent": "never discharged below",
    "devices.battery.soc_max_percent": "never charged above",
    "devices.battery.target": "a state of charge to reach each day, and by when",
    "devices.battery.ramp_w_per_s": "moved no faster than this",
    "devices.load.rated_w": "counts with this while on, where nothing measures it",
    "devices.load.min_w": "the least that it draws while it runs",
    "devices.load.by": "limit_consumption, switch or sg_ready, where its profile knows several",
    "devices.load.state": "the point that says whether it is on",
    "devices.load.rest": "on, off or surplus while nobody asks",
    "devices.load.switches_phases": "a charger uses one phase where too little is left for all",
    "devices.load.goal": "energy that it needs each day, and by when or within which band: the plan chooses the hours",
    "devices.load.schedule": "its jobs: energy_kwh, from, by, on which days, in_one_go; in place of a goal",
    "ocpp.listen": "address and port; tls beside it, a certificate and its key, for wss://",
    "devices.ocpp.station": "its identity: the end of the address that it calls, and its user name",
    "devices.ocpp.password_file": "holds its password; nobody else may read it",
    "devices.ocpp.start_as": "card under whose name a car that waits is started; without it nobody is",
    "devices.ocpp.fallback_a": "A per phase that it goes on with when the gateway is dead",
    "devices.ocpp.max_a": "the most that it is told, A per phase",
    "devices.trust": "its map rests on one source, and it is written all the same",
    "devices.phases": "those that it is wired to, in the order of its own L1, L2, L3",
    "link.client": "mqtt (any broker) or aws (AWS IoT Core)",
    "link.url": "mqtts:// is encrypted, mqtt:// is not",
    "fleet.update_key": "whose signature an update of the software must carry",
    "fleet.identity_dir": "as `sitewatt fleet provision --state` was told",
    "fleet.software_dir": "where the service starts versions from",
    "control.period_s": "seconds between two decisions",
    "control.idle": "self_consumption, or hold",
    "control.dead_band_w": "smaller changes are not made",
    "control.reversals_per_min_max": "a battery that turns about more often is damped",
    "telemetry.period_s": "seconds between two messages; the samples in them are each second's",
    "trading.enabled": "false orders nothing; a tariff or spot is still planned by",
    "trading.follow_schedule": "batteries make good what the site takes more or less than it traded",
    "trading.tariff": "a ready one's name (`sitewatt tariff list`), or one written out",
    "trading.spot": "a tariff that follows the zone's day-ahead price: adders and factor",
    "trading.prices": "who publishes that price, where the gateway reads it by itself",
    "trading.gate_closure_s": "seconds before delivery at which orders are due",
}


def render(config: SiteConfig) -> str:
    """Return the YAML of a configuration; ``load_config`` reads back what went in.

    Sections at their defaults stand there as comments, so that the installer sees what else may be set.
    """
    lines = [_HEAD]
    for name in type(config).model_fields:
        value = getattr(config, name)
        default = type(config).model_fields[name].get_default()
        chosen = value != default
        if isinstance(value, BaseModel):
            body = [f"{name}:", *_indented(_mapping(_told(value, whole=not chosen), path=name))]
        elif isinstance(value, tuple):
            body = [f"{name}:", *_indented(_items(value, path=name))]
        else:
            body = [f"{name}: {_scalar(value)}"]
        lines.append("")
        if name in _SECTIONS:
            lines.append(f"# {_SECTIONS[name]}")
        lines += body if chosen else [f"# {line}" for line in body]
    return "\n".join(lines) + "\n"


def write_config(path: Path, config: SiteConfig) -> None:
    """Write a configuration whole or not at all; an earlier one is kept beside it as ``.old``.

    A relative path was typed against the working directory. Read back it is beside the file, so it is made absolute
    where that is another folder.

    Raises:
        OSError: The folder cannot be written; what was there is as it was.
    """
    if path.absolute().parent != Path.cwd():
        config = placed(config, Path.absolute)
    part = path.with_name(path.name + ".part")
    part.write_text(render(config), encoding="utf-8")
    part.chmod(CONFIG_MODE)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    if path.exists():
        path.with_name(path.name + ".old").write_bytes(path.read_bytes())
    part.replace(path)


def _told(value: BaseModel, *, whole: bool) -> dict[str, Any]:
    """Return what a section says: what differs from its defaults, or everything that has a value."""
    kept = value.model_dump(mode="json", exclude_defaults=not whole, exclude_none=True)
    kept = kept or value.model_dump(mode="json", exclude_none=True)
    # The first thing that anybody looks for is where the broker is.
    return {"url": value.model_dump()["url"], **kept} if "url" in type(value).model_fields else kept


def _mapping(value: Mapping[str, Any], *, path: str) -> Iterator[str]:
    for key, inner in value.items():
        where = f"{path}.{key}"
        if isinstance(inner, Mapping) and inner:
            yield f"{key}:"
            yield from _indented(_mapping(inner, path=where))
        elif isinstance(inner, list) and inner and isinstance(inner[0], Mapping):
            yield f"{key}:"
            yield from _indented(_items(inner, path=where))
        else:
            yield f"{key}: {_scalar(inner)}" + (f"  # {_KEYS[where]}" if where in _KEYS else "")


def _items(values: Any, *, path: str) -> Iterator[str]:
    for value in values:
        told = value.model_dump(mode="json", exclude_defaults=True) if isinstance(value, BaseModel) else value
        battery = getattr(value, "battery", None)
        if isinstance(battery, BatterySection):
            told["battery"] = battery.model_dump(mode="json")
        if told.get("ocpp"):
            told = {key: inner for key, inner in told.items() if key not in ("profile", "url")}  # It has neither.
        first, *rest = _mapping(told, path=path)
        yield f"- {first}"
        yield from _indented(rest)


def _indented(lines: Any) -> Iterator[str]:
    for line in lines:
        yield f"  {line}"


def _scalar(value: Any) -> str:
    """Return one value as YAML on one line."""
    plain = str(value) if isinstance(value, Path) else value
    return (
        yaml.safe_dump(plain, default_flow_style=True, width=10_000, allow_unicode=True)
        .removesuffix("...\n")
        .removesuffix("\n")
    )
