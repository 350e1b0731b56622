"""Every profile in a gateway with control active, ten devices a gateway: all are read, and what can be told is told."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.clock import Clock, scaled_clock
from edge.config import SiteConfig
from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.points import Kind
from edge.devices.recipes import Lever
from firmware_sim.server import ModbusServer
from sitewatt.bench.bank import ProfileBank
from sitewatt.bench.plant import open_bench
from tests.support.modbus.wait import until
from tests.support.rigs.both_processes import Gateway, opened, running
from tests.support.rigs.edge_parts import plain_config

DEVICES = 10
SPEED = 10.0
CYCLES = 30
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
BATTERY = {"capacity_wh": 10_000, "charge_limit_w": 4_000, "discharge_limit_w": 4_000}
# What a machine with too much to do makes of any map, for a moment: a reply in time is no map's.
SILENT = ("did not answer within", "does not answer", "has not shown what it is made of")
LOAD_LEVERS = {Lever.SWITCH, Lever.LIMIT_CONSUMPTION, Lever.SG_READY}


def section(name: str, url: str) -> dict[str, Any]:
    """Return a device of the site, in the role that its kinds give it."""
    profile = load_profile(name)
    kinds = set(profile.kinds)
    device = {"id": name.replace("_", "-")[:32], "profile": name, "url": url, "trust": "one-source"}
    if kinds & {Kind.INVERTER, Kind.BATTERY}:
        hybrid = Kind.BATTERY in kinds
        return device | ({"role": "hybrid", "battery": BATTERY} if hybrid else {"role": "pv"}) | {"pv_peak_w": 8_000}
    if LOAD_LEVERS & set(profile.capabilities):
        return device | {"role": "load", "load": {"rated_w": 11_000}}
    return device | {"role": "meter"}


@contextlib.asynccontextmanager
async def site_of(names: list[str], clock: Clock, folder: Path) -> AsyncIterator[SiteConfig]:
    """Serve a device of each profile, and yield the site that has them all and a meter."""
    async with contextlib.AsyncExitStack() as stack:
        devices = []
        for name in ("eastron_sdm630", *names):
            bench = open_bench(load_profile(name), clock, seed=7)
            server = ModbusServer({1: ProfileBank(load_profile(name), bench)})
            port = await server.start()
            stack.push_async_callback(server.stop)
            devices.append(section(name, f"tcp://127.0.0.1:{port}?unit=1"))
        devices[0]["id"] = "meter"
        content = plain_config(devices=devices, state_dir=str(folder))
        content["site"]["agent"] = "producer"
        content["connection"] |= {"import_limit_w": 100_000, "export_limit_w": 200_000}
        content["link"] = {"url": "mqtt://127.0.0.1:1"}
        yield SiteConfig.model_validate(content)


def unread(gateway: Gateway) -> list[str]:
    """Return the devices that were not read, or tell nothing."""
    return [name for name, one in gateway.control.devices.items() if not (one.health.online and one.snapshot())]


def batches() -> list[list[str]]:
    """Return all profiles, each gateway's devices spread over the alphabet, so that all kinds meet in each."""
    names = list(list_profiles())
    count = -(-len(names) // DEVICES)
    return [names[first::count] for first in range(count)]


@pytest.mark.parametrize(
    "names",
    [pytest.param(names, marks=[] if number == 0 else pytest.mark.nightly) for number, names in enumerate(batches())],
    ids=lambda names: names[0],
)
async def test_ten_devices_are_read_and_moved_in_one_gateway(
    names: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A map that stops the loop, or that no gateway can live with, must not be found on a wall."""
    clock = scaled_clock(started_at=NOON, speed=SPEED)
    async with site_of(names, clock, tmp_path) as site, opened(site, clock=clock) as gateway, running(gateway):
        await until(lambda: not unread(gateway))
        stats = gateway.control.loop.stats
        enough = stats.cycles + CYCLES
        await until(lambda: stats.cycles >= enough and not unread(gateway))
        told = [one.id for one in gateway.control.devices.values() if Lever.BATTERY_POWER in one.levers]
        failures = [vars(record) for record in caplog.records if record.getMessage() == "setpoint not applied"]
        why = [(failure["device"], failure["lever"], failure["reason"]) for failure in failures]
        refused = [one for one in why if not any(silent in one[2] for silent in SILENT)]
        assert (stats.writes > 0 or not told) and not refused, (told, why, stats)
