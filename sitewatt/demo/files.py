"""The files of one run: where they are and what is in them."""

import socket
from pathlib import Path
from typing import Any

import yaml

from cloud.local.opening import Servers, remember
from firmware_sim.plant_config import DeviceKind, PlantConfig
from sitewatt.demo.keys import make_signing_key
from sitewatt.demo.neighbourhood import FEEDER, GATE_CLOSURE_S, TIMEZONE, ZONE, Neighbourhood, Site, Trade

ISSUER = "grid-operator"
KEY_FILE = "grid-operator.pem"
IMPORT_TARIFF_MCT_PER_KWH = 30_000
EXPORT_TARIFF_MCT_PER_KWH = 8_000
# What a site gets for each kWh that it changes in an event, and owes for each that it had been asked for and missed.
DR_PRICE_MCT_PER_KWH = 20_000
DR_PENALTY_MCT_PER_KWH = 2_000
# The feeder's own gateway reports each 5 s of site time: what the grid agent's loop is driven by.
_FEEDER_PERIOD_S = 5
_SITE_PERIOD_S = 30

_PROFILES = {
    DeviceKind.SDM630: "eastron_sdm630",
    DeviceKind.SUNSPEC_METER: "sunspec_generic_int",
    DeviceKind.SUNSPEC_PV: "sunspec_generic_int",
    DeviceKind.SUNSPEC_HYBRID: "fronius_gen24_int",
    DeviceKind.HEIDELBERG_EC: "heidelberg_ec",
    DeviceKind.STIEBEL_ISG: "stiebel_isg",
}


def logs(folder: Path) -> Path:
    """Return the folder of the logs, made where it is missing."""
    path = folder / "logs"
    path.mkdir(exist_ok=True)
    return path


def plant(folder: Path) -> Path:
    """Return the plant file."""
    return folder / "plant.yaml"


def truth(folder: Path) -> Path:
    """Return what the plant writes about itself."""
    return folder / "truth.jsonl"


def cloud(folder: Path) -> Path:
    """Return the cloud's configuration."""
    return folder / "cloud.yaml"


def tables(folder: Path) -> Path:
    """Return the folder of the cloud's tables."""
    return folder / "cloud"


def gateway(folder: Path, name: str) -> Path:
    """Return the configuration of one gateway."""
    return folder / f"{name}.yaml"


def state(folder: Path, name: str) -> Path:
    """Return the state folder of one gateway."""
    return folder / "state" / name


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_plant(folder: Path, content: PlantConfig) -> None:
    """Write the simulator's plant file."""
    plant(folder).write_text(content.to_yaml(), encoding="utf-8")


def write_configurations(
    folder: Path, place: Neighbourhood, *, link: dict[str, Any], ports: dict[str, int], issuer: str = ISSUER
) -> None:
    """Write what every gateway and the cloud are told.

    Args:
        folder: Where.
        place: The neighbourhood.
        link: The gateways' way to the broker.
        ports: Of the simulated devices.
        issuer: Who signs commands.
    """
    key_file = folder / KEY_FILE
    public_key = make_signing_key(key_file)
    for site in place.sites:
        trusted = {"issuer": issuer, "role": "grid_operator", "public_key": public_key}
        _write(gateway(folder, site.id), _gateway(folder, site, trusted, link, ports))
    _write(gateway(folder, FEEDER), _feeder_gateway(folder, place, link, ports))
    _write(cloud(folder), _cloud(folder, place, key_file, str(link["url"]), issuer=issuer))


def tell_servers(folder: Path, servers: Servers) -> None:
    """Tell the cloud, and who reads its folder, where it keeps what it does not keep in files."""
    remember(tables(folder), servers)
    if servers.named:
        content = yaml.safe_load(cloud(folder).read_text(encoding="utf-8"))
        _write(cloud(folder), {**content, **{name: getattr(servers, name) for name in servers.named}})


def _gateway(
    folder: Path, site: Site, trusted: dict[str, str], link: dict[str, Any], ports: dict[str, int]
) -> dict[str, Any]:
    inverter: dict[str, Any] = {
        "id": "inverter",
        "profile": _PROFILES[DeviceKind.SUNSPEC_HYBRID if site.battery else DeviceKind.SUNSPEC_PV],
        "url": _url(ports, site.id, "inverter"),
        "role": _role(site),
        "pv_peak_w": site.pv_peak_w,
    }
    if site.battery:
        inverter["battery"] = {
            "capacity_wh": site.battery.capacity_wh,
            "charge_limit_w": site.battery.power_w,
            "discharge_limit_w": site.battery.power_w,
        }
    meter = {
        "id": "meter",
        "profile": _PROFILES[site.meter],
        "url": _url(ports, site.id, "meter"),
        "role": "meter",
    }
    return {
        "site": {"id": site.id, "zone": ZONE, "agent": site.agent.value},
        "connection": {
            "meter": "meter",
            "import_limit_w": site.import_limit_w,
            "export_limit_w": site.export_limit_w,
        },
        "devices": [meter, inverter, *_moved(site, ports)],
        "link": link,
        "state_dir": str(state(folder, site.id)),
        "control": {"idle": "self_consumption" if site.self_consumption else "hold"},
        "commands": {"trusted": [trusted]},
        "telemetry": {"period_s": _SITE_PERIOD_S},
        "trading": {
            "import_tariff_mct_per_kwh": IMPORT_TARIFF_MCT_PER_KWH,
            "export_tariff_mct_per_kwh": EXPORT_TARIFF_MCT_PER_KWH,
            "gate_closure_s": GATE_CLOSURE_S,
            # The works' battery is kept for the grid operator: it does not chase the works' own schedule.
            "follow_schedule": site.follows_schedule,
        },
    }


def _moved(site: Site, ports: dict[str, int]) -> list[dict[str, Any]]:
    """Return the section of the device that the plan moves."""
    goal = site.goal
    if goal is None:
        return []
    load: dict[str, Any] = {"rated_w": goal.rated_w, "goal": {"energy_kwh": goal.energy_wh / 1000}}
    if goal.by is not None:
        load |= {"rest": "off"}
        load["goal"]["by"] = goal.by
    if goal.comfort_wh is not None:
        load |= {"state": "sg_ready_state"}
        load["goal"]["comfort_kwh"] = goal.comfort_wh / 1000
    url = _url(ports, site.id, goal.device)
    return [{"id": goal.device, "profile": _PROFILES[goal.kind], "url": url, "role": "load", "load": load}]


def _feeder_gateway(folder: Path, place: Neighbourhood, link: dict[str, Any], ports: dict[str, int]) -> dict[str, Any]:
    return {
        "site": {"id": FEEDER, "zone": ZONE, "agent": Trade.MONITOR.value},
        "connection": {
            "meter": "meter",
            "import_limit_w": place.feeder.limit_w,
            "export_limit_w": place.feeder.limit_w,
        },
        "devices": [
            {
                "id": "meter",
                "profile": _PROFILES[DeviceKind.SDM630],
                "url": _url(ports, FEEDER, "meter"),
                "role": "meter",
            }
        ],
        "link": link,
        "state_dir": str(state(folder, FEEDER)),
        "telemetry": {"period_s": _FEEDER_PERIOD_S},
        "trading": {"enabled": False},
    }


def link_to(broker_port: int, *, embedded: bool) -> dict[str, Any]:
    """Return the gateways' way to the broker; the embedded one speaks MQTT 3.1.1 only."""
    return {"url": f"mqtt://127.0.0.1:{broker_port}", "protocol": "3.1.1" if embedded else "5"}


def _role(site: Site) -> str:
    if site.battery is None:
        return "pv"
    return "hybrid" if site.pv_peak_w else "battery"


def _url(ports: dict[str, int], site: str, device: str) -> str:
    return f"tcp://127.0.0.1:{ports[f'{site}/{device}']}?unit=1"


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _cloud(folder: Path, place: Neighbourhood, key_file: Path, broker_url: str, *, issuer: str) -> dict[str, Any]:
    limit_w = place.feeder.limit_w
    return {
        "broker": {"url": broker_url},
        "folder": str(tables(folder)),
        "signing": {"issuer": issuer, "key_file": str(key_file)},
        # A second of the demo's clock is a few milliseconds.
        "schedules": {"grid-tick": 10.0},
        "registry": {
            "zones": [
                {
                    "id": ZONE,
                    "timezone": TIMEZONE,
                    "market": {
                        "mechanism": "call",
                        "gate_closure_s": GATE_CLOSURE_S,
                        "last_resort": {
                            "import_mct_per_kwh": IMPORT_TARIFF_MCT_PER_KWH,
                            "export_mct_per_kwh": EXPORT_TARIFF_MCT_PER_KWH,
                        },
                    },
                }
            ],
            "feeders": [
                {
                    "id": FEEDER,
                    "zone": ZONE,
                    "import_limit_w": limit_w,
                    "export_limit_w": limit_w,
                    "dr_price_mct_per_kwh": DR_PRICE_MCT_PER_KWH,
                    "dr_penalty_mct_per_kwh": DR_PENALTY_MCT_PER_KWH,
                }
            ],
            "sites": [_record(site) for site in place.sites],
        },
    }


def _record(site: Site) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": site.id,
        "zone": ZONE,
        "agent": site.agent.value,
        "feeder": FEEDER,
        "import_limit_w": site.import_limit_w,
        "export_limit_w": site.export_limit_w,
        "pv_peak_w": site.pv_peak_w,
        "pv_curtailable": site.pv_peak_w > 0,
        "flexible": site.flexible,
    }
    if site.battery:
        record["battery"] = {
            "capacity_wh": site.battery.capacity_wh,
            "charge_w_max": site.battery.power_w,
            "discharge_w_max": site.battery.power_w,
        }
        if site.pv_peak_w:
            # The simulated hybrid is rated for the larger of what stands behind it.
            record["battery"]["inverter_w_max"] = max(site.pv_peak_w, site.battery.power_w)
    return record
