"""Export limits and grid setpoints of real maps, moved by a gateway's own control over a real socket."""

from pathlib import Path
from typing import Any

import pytest

from contracts.clock import scaled_clock
from edge.config import SiteConfig
from edge.control.model import Capability
from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.options import options_of
from edge.devices.recipes import Lever
from edge.setup.failsafe_check import failsafe_findings, used_by
from tests.support.modbus.maps import empty
from tests.support.modbus.server import Device as Server
from tests.support.modbus.server import tcp_device
from tests.support.modbus.wait import until
from tests.support.rigs.both_processes import opened, running
from tests.support.rigs.edge_parts import NOON, plain_config

BATTERY = {"capacity_wh": 10_000, "charge_limit_w": 4_000, "discharge_limit_w": 4_000}
OWN_METER = [
    name
    for name in list_profiles()
    if {Lever.EXPORT_LIMIT, Lever.GRID_SETPOINT} & set(load_profile(name).capabilities)
    and not {Lever.LIMIT_GENERATION} & set(load_profile(name).capabilities)
]


def site(port: int, profile: str, *, unit: int, export_limit_w: int, folder: Path | str = "state") -> SiteConfig:
    """Return a site of a meter and one hybrid that keeps what it is told by its own meter."""
    content = plain_config(state_dir=str(folder))
    meter, inverter = content["devices"]
    meter["url"] = f"tcp://127.0.0.1:{port}?unit=1"
    inverter |= {"profile": profile, "url": f"tcp://127.0.0.1:{port}?unit={unit}", "trust": "one-source"}
    inverter |= {"battery": BATTERY, "pv_peak_w": 8_000}
    content["connection"]["export_limit_w"] = export_limit_w
    content["link"] = {"url": "mqtt://127.0.0.1:1"}
    return SiteConfig.model_validate(content)


@pytest.mark.parametrize("name", OWN_METER)
def test_a_hybrid_without_a_limit_on_generation_is_moved_by_its_export_limit(name: str) -> None:
    """The site's export limit was kept by nobody there, and nobody said so."""
    config = site(1, name, unit=1, export_limit_w=0)
    section, profile = config.devices[1], load_profile(name)
    assert Capability.EXPORT_LIMIT in used_by(section, profile)
    assert Lever.EXPORT_LIMIT in (options_of(section, profile=profile).levers or ())
    said = [one.consequence for one in failsafe_findings(config) if one.capability is Capability.EXPORT_LIMIT]
    assert said == [], "it keeps its last limit by itself, which is what the site wants of it"


@pytest.mark.parametrize(
    ("profile", "unit", "registers", "limit"),
    [
        # 47509 enables, 47510 is in W. Source: marcelblijleven/goodwe, et.py.
        ("goodwe_et", 247, {47509: 1, 47510: 1_500}, 1_500),
        # 2706 counts 100 W. Source: victronenergy/dbus_modbustcp, attributes.csv.
        ("victron_gx_system", 100, {2706: 15}, 1_500),
    ],
)
async def test_a_running_gateway_brings_the_sites_export_limit_into_the_inverter(
    profile: str, unit: int, registers: dict[int, int], limit: int, tmp_path: Path
) -> None:
    """What the connection may feed in stands in the device that keeps it, read back."""
    bank = empty(profile)
    server = Server({1: empty("eastron_sdm630"), unit: bank})
    clock = scaled_clock(started_at=NOON, speed=10.0)
    async with tcp_device(server) as port:
        config = site(port, profile, unit=unit, export_limit_w=limit, folder=tmp_path)
        async with opened(config, clock=clock) as gateway, running(gateway):
            await until(lambda: all(bank.holding.get(at) == word for at, word in registers.items()))
            await until(lambda: _proven(gateway.control.loop.last, Capability.EXPORT_LIMIT) == float(limit))


def _proven(cycle: Any, capability: Capability) -> float | None:
    applied = None if cycle is None else cycle.applied.get(("inverter", capability))
    return applied.value_w if applied is not None and applied.ok else None


async def test_a_running_gateway_tells_a_victron_the_power_at_the_connection_point(tmp_path: Path) -> None:
    """Its battery follows the house by the device's own meter: the setpoint is zero, volatile, and read back."""
    bank = empty("victron_gx_system")
    bank.holding |= {843: 55, 2716: 0, 2717: 500}  # State of charge; what somebody left there.
    meter = empty("eastron_sdm630")
    server = Server({1: meter, 100: bank})
    clock = scaled_clock(started_at=NOON, speed=10.0)
    async with tcp_device(server) as port:
        config = site(port, "victron_gx_system", unit=100, export_limit_w=20_000, folder=tmp_path)
        async with opened(config, clock=clock) as gateway, running(gateway):
            await until(lambda: _proven(gateway.control.loop.last, Capability.GRID_SETPOINT) == 0.0)
            assert (bank.holding[2716], bank.holding[2717]) == (0, 0)
            assert gateway.control.devices["inverter"].capabilities == {
                Capability.GRID_SETPOINT,
                Capability.EXPORT_LIMIT,
            }
