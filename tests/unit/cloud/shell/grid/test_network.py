"""The grid agent's shell with a network in the registry: it holds what the feeder's meter does not show."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cloud.agents.skills import skill
from cloud.handlers import grid, telemetry
from cloud.shell import services as shell_services
from cloud.shell.services import Services
from cloud.shell.skill_ports import ports_of
from cloud.stores.registry import read_registry
from contracts.control import Command
from contracts.topics import Up
from tests.support.cloud.sites import FEEDER, NETWORK, START, Recorder, batch, context, house_in, registry_data
from tests.support.cloud.sites import telemetry as message

POWER = "meter/active_power_w"
HIGH = "voltage at node 3 above 1.06 pu"


@contextmanager
def _house(folder: Path, *, network: dict[str, Any] | None) -> Iterator[tuple[Services, Recorder]]:
    data = registry_data()
    if network is not None:
        data["feeders"][0]["network"] = network
        data["sites"][0]["node"], data["sites"][1]["node"] = 3, 2
    with house_in(folder) as (services, publisher):
        known = replace(services, registry=read_registry(data, where="test"))
        shell_services.install(known)
        yield known, publisher


def _a_minute(*, farm_w: float, feeder_w: float) -> datetime:
    """Let farm, factory and feeder speak for a minute; return the instant after it."""
    for seq, second in enumerate(range(0, 60, 10), start=1):
        at = START + timedelta(seconds=second)
        values = {"inverter/battery_power_w": [0.0], "inverter/soc_percent": [60.0]}
        farm = message("farm", seq, at, {POWER: [farm_w], **values})
        factory = message("factory", seq, at, {POWER: [feeder_w - farm_w], **values})
        feeder = message(FEEDER, seq, at, {POWER: [feeder_w] * 10})
        event = batch(Up.TELEMETRY, farm, factory, feeder, at=at + timedelta(seconds=10))
        telemetry.handler(event, context())
        grid.handler(event, context())
    return START + timedelta(seconds=60)


def _commands(publisher: Recorder) -> list[Command]:
    return [Command.decode(payload) for payload in publisher.on("/commands")]


def test_an_overvoltage_behind_a_calm_meter_is_relieved_and_told(tmp_path: Path) -> None:
    """The farm's own battery takes what lifts its node; the factory, at another line, is not asked."""
    with _house(tmp_path, network=NETWORK) as (services, publisher):
        at = _a_minute(farm_w=-80_000.0, feeder_w=100_000.0)
        assert {command.site for command in _commands(publisher)} == {"farm"}
        status = skill("grid_status").call(ports_of(services), {"feeder": FEEDER}, now=at)
        assert status.network.known and status.network.calculated
        assert (status.network.sites, status.network.sites_without_node) == (2, 2)
        assert status.network.voltage_pu_max > 1.06
        assert status.network.near[0].place == HIGH and status.network.near[0].beyond_pu > 0
        (event,) = status.events
        assert event.places == (HIGH,) and event.sites == ("farm",)


def test_without_a_network_the_meter_alone_decides_and_status_says_so(tmp_path: Path) -> None:
    """Nobody must think that voltages are held."""
    with _house(tmp_path, network=None) as (services, publisher):
        at = _a_minute(farm_w=-80_000.0, feeder_w=100_000.0)
        assert _commands(publisher) == []
        status = skill("grid_status").call(ports_of(services), {"feeder": FEEDER}, now=at)
        assert not status.network.known and status.events == ()
        assert status.network.reason == (
            f"feeder {FEEDER} has no network in the registry; relief is by its meter alone"
        )


def test_a_network_that_carries_no_such_power_is_told(tmp_path: Path) -> None:
    """A line of 20 kilo-ohm is a typing mistake; the feeder's own limit is held all the same."""
    line = {**NETWORK["lines"][1], "r_ohm": 20_000.0}
    with _house(tmp_path, network={**NETWORK, "lines": [NETWORK["lines"][0], line]}) as (services, publisher):
        at = _a_minute(farm_w=-80_000.0, feeder_w=230_000.0)
        assert _commands(publisher)
        network = skill("grid_status").call(ports_of(services), {"feeder": FEEDER}, now=at).network
        assert network.known and not network.calculated
        assert network.reason.startswith("node 3 would be at 99") and "meter alone" in network.reason
