"""The cloud of sites under faults: the real one, with a market in which they trade."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from contracts.market import SiteAgent
from firmware_sim.plant_config import PlantSite
from sitewatt.demo import files
from sitewatt.demo.keys import make_signing_key

GATE_CLOSURE_S = 300
# A battery that follows its schedule would not be where the matrix expects it once nobody commands.
TRADING: dict[str, Any] = {"enabled": True, "follow_schedule": False, "gate_closure_s": GATE_CLOSURE_S}


def write_cloud(folder: Path, sites: Iterable[PlantSite], *, zone: str, broker_port: int, connection_w: int) -> None:
    """Write the configuration of a cloud in which every site is registered as a producer.

    Args:
        folder: Of the rig.
        sites: Who takes part.
        zone: The sites' zone.
        broker_port: Where the broker listens on the loopback.
        connection_w: What each site's connection carries either way.
    """
    key_file = folder / "grid-agent.pem"
    make_signing_key(key_file)
    content = {
        "broker": {"url": f"mqtt://127.0.0.1:{broker_port}"},
        "folder": str(files.tables(folder)),
        "signing": {"key_file": str(key_file)},
        "registry": {
            "zones": [{"id": zone, "market": {"mechanism": "call", "gate_closure_s": GATE_CLOSURE_S}}],
            "sites": [_record(site, zone=zone, connection_w=connection_w) for site in sites],
        },
    }
    files.tables(folder).mkdir(parents=True, exist_ok=True)
    files.cloud(folder).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _record(site: PlantSite, *, zone: str, connection_w: int) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": site.id,
        "zone": zone,
        "agent": SiteAgent.PRODUCER.value,
        "import_limit_w": connection_w,
        "export_limit_w": connection_w,
        "pv_peak_w": int(site.pv.peak_w or 0) if site.pv else 0,
        # What is forecast before anything was measured.
        "typical_load_w": int(site.load.base_w) if site.load else 0,
    }
    if site.battery:
        record["battery"] = {
            "capacity_wh": int(site.battery.capacity_wh),
            "charge_w_max": int(site.battery.charge_w_max),
            "discharge_w_max": int(site.battery.discharge_w_max),
        }
    return record
