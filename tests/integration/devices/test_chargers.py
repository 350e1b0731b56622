"""Chargers, relays and heat pumps are loads: limited, switched or told a state, each by its own profile."""

import pytest

from edge.config import SiteConfig
from edge.control.model import Capability
from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.opening import open_devices
from edge.devices.recipes import Lever
from edge.inputs.wired import check_loads
from tests.support.modbus.devices import Section, fast_clock
from tests.support.modbus.server import Bank, tcp_device
from tests.support.modbus.server import Device as Server
from tests.support.modbus.wait import until
from tests.support.rigs.edge_parts import plain_config

LOADS = [
    name
    for name in list_profiles()
    if {Lever.SWITCH, Lever.LIMIT_CONSUMPTION, Lever.SG_READY} & set(load_profile(name).capabilities)
    and not {"inverter", "battery"} & set(load_profile(name).kinds)
]


async def test_a_charger_is_switched_off_by_its_current_limit_and_given_back() -> None:
    """Shedding a load must not need a relay in front of a charger that can be told."""
    server = Server({1: Bank(holding=dict.fromkeys(range(300), 0), input=dict.fromkeys(range(300), 0))})
    async with tcp_device(server) as port:
        section = Section(id="ev", profile="heidelberg_ec", url=f"tcp://127.0.0.1:{port}?unit=1", role="load")
        async with open_devices([section], clock=fast_clock()) as devices:
            charger = devices["ev"]
            await until(lambda: bool(charger.snapshot()) and charger.health.online)
            assert charger.capabilities == {Capability.LIMIT_CONSUMPTION}
            applied = await charger.apply(Capability.LIMIT_CONSUMPTION, 11_000.0, revert_s=90)
            assert applied.ok and applied.wrote
            applied = await charger.apply(Capability.LIMIT_CONSUMPTION, 0.0, revert_s=90)
            assert applied.ok and set(applied.readback.values()) == {0.0}
            assert not charger.drifted(Capability.LIMIT_CONSUMPTION)
    writes = [request for request in server.requests if request.pdu[0] in (6, 16)]
    assert len(writes) >= 2


@pytest.mark.parametrize("name", LOADS)
def test_every_charger_relay_and_heat_pump_profile_may_be_a_load(name: str) -> None:
    """The gateway starts with each of them."""
    content = plain_config()
    load = {"id": "ev", "profile": name, "url": "tcp://127.0.0.1:1?unit=1", "role": "load"}
    content["devices"] = [*content["devices"], {**load, "load": {"rated_w": 11_000}}]
    check_loads(SiteConfig.model_validate(content))
