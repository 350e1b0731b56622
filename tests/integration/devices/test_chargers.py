"""Chargers, relays and heat pumps are loads: limited, switched or told a state, each by its own profile."""

import asyncio

import pytest

from edge.config import SiteConfig
from edge.control.model import Capability
from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.device import DeviceOptions
from edge.devices.opening import open_devices
from edge.devices.recipes import Lever
from edge.errors import ConfigError, DeviceRefused, ValueRefused
from edge.inputs.wired import check_loads
from tests.support.modbus.devices import Section, fast_clock
from tests.support.modbus.maps import empty
from tests.support.modbus.one import device
from tests.support.modbus.server import Bank, Request, Sending, tcp_device
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


async def test_a_charger_pauses_before_it_uses_one_phase_and_is_told_its_current_last() -> None:
    """SolaX: 0xA105 is 1 for one phase and 2 for three; 2,300 W are 10 A on one. Source: evcc, charger/solax.go."""
    bank = empty("solax_evc")
    bank.input[0x000B] = 0
    options = DeviceOptions(load_w=11_000, switches_phases=True)
    async with device("solax_evc", bank, options=options) as (one, server):

        async def told(value_w: float | None, held_w: float | None) -> None:
            """Ask as each cycle does, until what is held is what was asked."""
            async with asyncio.timeout(60):
                while (applied := await one.apply(Lever.LIMIT_CONSUMPTION, value_w, revert_s=90)).held_w != held_w:
                    assert applied.ok
                    bank.input[0x000B] = 1_380 if bank.holding[0x0627] == 4 else 0
                    await asyncio.sleep(0.01)

        await told(2_300, 2_300)
        assert (bank.holding[0xA105], bank.holding[0x0628], bank.holding[0x0627]) == (1, 1_000, 4)
        held = {0xA105: 2, 0x0628: 1_600, 0x0627: 4}
        writes = [(at, words[0]) for at, words in _writes(server) if at in held]
        assert writes[0] == (0x0627, 3), "it pauses before all else"
        for address, word in writes:
            held[address] = word
            drawn_a = held[0x0628] / 100 if held[0x0627] == 4 else 0.0
            assert drawn_a * {1: 1, 2: 3}[held[0xA105]] <= 10.0, "between two writes too"
        applied = await one.apply(Lever.LIMIT_CONSUMPTION, 3_680, revert_s=90)
        assert applied.ok and (bank.holding[0xA105], bank.holding[0x0628]) == (1, 1_594), "it was turned just now"
        await told(None, None)
        assert bank.holding[0xA105] == 2


async def test_a_charger_that_refuses_other_phases_has_its_limit_renewed() -> None:
    """Alfen: 1215 is refused, 1210 falls to the safe current of 6 A on three phases unless it is written each 25 s.

    Source: evcc-io/evcc issue 18877, the number of phases is answered with exception 3.
    """
    bank = empty("alfen_eve")
    bank.holding[1215] = 3
    options = DeviceOptions(load_w=11_000, switches_phases=True)
    async with device("alfen_eve", bank, options=options) as (one, server):

        def refusing(server: Server, request: Request, payload: bytes | None) -> Sending:
            """Take every write but that of the phases."""
            if request.pdu[0] == 16 and request.address == 1215:
                bank.holding[1215] = 3
                payload = bytes((0x90, 3))
            return [] if payload is None else [(0.0, server.frame(request, payload))]

        server.fault = refusing
        refused = 0
        for _ in range(12):
            try:
                applied = await one.apply(Lever.LIMIT_CONSUMPTION, 2_300, revert_s=90)
                assert applied.held_w == 0
            except (DeviceRefused, ValueRefused):
                refused += 1
            await asyncio.sleep(0.1)
        assert 1 <= refused <= 3 and bank.holding[1215] == 3
        assert (await one.apply(Lever.LIMIT_CONSUMPTION, 2_300, revert_s=90)).ok, "the pause is held"


def _writes(server: Server) -> list[tuple[int, tuple[int, ...]]]:
    return [
        (request.address, (int.from_bytes(request.pdu[3:5], "big"),))
        for request in server.requests
        if request.pdu[0] == 6
    ]


async def test_a_charger_is_told_no_phases_unless_its_section_says_so() -> None:
    """Older boxes have no such register, and not every car likes it."""
    bank = empty("solax_evc")
    async with device("solax_evc", bank, options=DeviceOptions(load_w=11_000)) as (one, server):
        assert (await one.apply(Lever.LIMIT_CONSUMPTION, 2_300, revert_s=90)).ok
        assert 0xA105 not in [request.address for request in server.requests if request.pdu[0] == 6]


def test_a_charger_that_cannot_switch_phases_is_refused_where_its_section_says_so() -> None:
    """What the file promises and no device does is said before the start."""
    content = plain_config()
    load = {"rated_w": 11_000, "switches_phases": True}
    ev = {"id": "ev", "url": "tcp://127.0.0.1:1?unit=1", "role": "load", "load": load}
    meter, inverter = content["devices"]
    content["devices"] = [meter, inverter, {**ev, "profile": "solax_evc"}]
    check_loads(SiteConfig.model_validate(content))
    content["devices"] = [meter, inverter, {**ev, "profile": "keba_p30"}]
    with pytest.raises(ConfigError, match="keba_p30 cannot tell its device how many phases"):
        check_loads(SiteConfig.model_validate(content))
