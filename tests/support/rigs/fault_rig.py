"""Sites under faults: real gateways over simulated devices, wires and disks that fail, and an operator who signs.

What is judged is the plant's own truth, never what a gateway says of itself.
"""

import asyncio
import base64
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from contracts.clock import ScaledClock, scaled_clock
from contracts.control import AckStage, Action, Command, CommandAck, Refusal
from contracts.topics import Down, Up, site_topic
from contracts.units import epoch_ms
from firmware_sim.fault_rules import FaultKind, FaultRule
from firmware_sim.plant_config import (
    CONSUMERS,
    BatteryConfig,
    DeviceConfig,
    DeviceKind,
    LoadConfig,
    PlantConfig,
    PlantSite,
    PvConfig,
    Uncommanded,
)
from sitewatt.demo import files
from sitewatt.demo.processes import Processes
from sitewatt.demo.run import start_broker, start_cloud, start_gateway
from sitewatt.swarm.process_tree import tree
from tests.support.modbus.simulator import NOON, RawClient
from tests.support.rigs.fault_cloud import TRADING, write_cloud
from tests.support.rigs.fault_wire import Registers, Wire, registers, wires

ZONE = "zone-1"
SPEED = 15.0  # A hiccup of half a second is 7.5 s on site, inside a tenth of the longer timers.
_AGAIN_S = 0.3  # Real seconds.
SAFETY_S = 240.0  # Real seconds: one bound for every wait.
STEADY_MS = 4000
DOORBELL = 99  # Whoever calls at this unit makes the device reboot.
REBOOT_SILENT_S = 10.0
AGGREGATOR, GRID_OPERATOR = "aggregator", "grid-operator"
CONNECTION_W = 20_000
BATTERY_W = 4000
PV_W = 5000
SUN_LOAD_W = 500
BATTERY_LOAD_W = 2000

State = dict[str, float]
Says = Callable[[State], bool]


def sun_site(name: str, *, has_timer: bool = True, wired: bool = False, peak_w: float = PV_W) -> PlantSite:
    """Return a site with PV and a small load, so that it feeds in at noon; ``wired``, with a receiver's relay box."""
    inverter = DeviceConfig(id="inverter", kind=DeviceKind.SUNSPEC_PV, faults=_REBOOTS, revert_ignored=not has_timer)
    return PlantSite(
        id=name,
        load=LoadConfig(base_w=SUN_LOAD_W),
        pv=PvConfig(peak_w=peak_w),
        devices=(inverter, _DOORBELL, _METER, *((_BOX,) if wired else ())),
    )


def battery_site(name: str, *, sun: bool = False) -> PlantSite:
    """Return a site with a load and a battery, half full; with ``sun``, more PV than both take behind one inverter."""
    inverter = DeviceConfig(
        id="inverter", kind=DeviceKind.SUNSPEC_HYBRID, faults=_REBOOTS, uncommanded=Uncommanded.SELF_CONSUMPTION
    )
    return PlantSite(
        id=name,
        load=LoadConfig(base_w=SUN_LOAD_W if sun else BATTERY_LOAD_W),
        pv=PvConfig(peak_w=PV_W) if sun else None,
        battery=BatteryConfig(capacity_wh=200_000, charge_w_max=BATTERY_W, discharge_w_max=BATTERY_W),
        devices=(inverter, _DOORBELL, _METER),
    )


def load_site(name: str, *loads: DeviceKind, sun_w: float = 1_000.0) -> PlantSite:
    """Return a site with PV and loads of their own devices, each named as its profile is."""
    return PlantSite(
        id=name,
        load=LoadConfig(base_w=SUN_LOAD_W),
        pv=PvConfig(peak_w=sun_w),
        devices=(
            DeviceConfig(id="inverter", kind=DeviceKind.SUNSPEC_PV),
            _METER,
            *(DeviceConfig(id=kind.value, kind=kind) for kind in loads),
        ),
    )


_REBOOTS = (FaultRule(kind=FaultKind.REBOOT, unit=DOORBELL, silent_s=REBOOT_SILENT_S),)
_DOORBELL = DeviceConfig(id="doorbell", kind=DeviceKind.RELAY, unit=DOORBELL, shares_port_of="inverter")
_METER = DeviceConfig(id="meter", kind=DeviceKind.SDM630)
_BOX = DeviceConfig(id="box", kind=DeviceKind.RELAY)


@dataclass(kw_only=True)
class FaultRig:
    """Sites, their gateways, and what can be done to them."""

    folder: Path
    clock: ScaledClock
    processes: Processes
    wires: dict[str, Wire]
    broker_port: int
    sites: tuple[str, ...]
    hinder: Path
    keys: dict[str, Ed25519PrivateKey]
    sent: int = 0
    _read_to: int = 0
    _truth: list[tuple[int, dict[str, State]]] = field(default_factory=list)

    # What the operator does.

    async def order(self, site: str, action: Action, *, issuer: str, for_s: float) -> Command:
        """Have a site take an order, and return it.

        A gateway that has just started may not hear it yet; it is told the same again, and of a new order where that is
        too old.

        Raises:
            AssertionError: The site refused it, or did not answer within the safety bound.
        """
        async with asyncio.timeout(SAFETY_S), aiomqtt.Client("127.0.0.1", self.broker_port) as client:
            await client.subscribe(site_topic(zone=ZONE, site=site, channel=Up.ACKS), qos=1)
            while True:
                command = self._signed(site, action, issuer=issuer, for_s=for_s)
                answer = await _answer(client, site, command)
                if answer.reason is not Refusal.TOO_OLD:
                    break
        assert answer.stage is AckStage.ACCEPTED, f"{site} refused: {answer.reason} {answer.detail}"
        return command

    def _signed(self, site: str, action: Action, *, issuer: str, for_s: float) -> Command:
        self.sent += 1
        now = self.clock.now()
        command = Command(
            command_id=f"rig-{self.sent}",
            site=site,
            issuer=issuer,
            seq=self.sent,
            issued_at=now,
            expires_at=now + timedelta(seconds=for_s),
            action=action,
        )
        signature = base64.b64encode(self.keys[issuer].sign(command.signing_bytes())).decode()
        return command.model_copy(update={"signature": signature})

    # What goes wrong.

    def signal(self, number: signal.Signals, *sites: str) -> None:
        """Send a signal to all processes of gateways, of all gateways where none is named."""
        for site in sites or self.sites:
            os.killpg(self.processes[site].process.pid, number)

    async def start(self, site: str) -> None:
        """Start a gateway, or start it again on what it kept."""
        await start_gateway(self.processes, self.folder, site, clock=self.clock)

    def log(self, site: str) -> str:
        """Return what a gateway has logged."""
        return self.processes[site].log.read_text(encoding="utf-8", errors="replace")

    def pids(self) -> list[int]:
        """Return the gateways' processes, those that they started too."""
        return [pid for site in self.sites for pid in tree(self.processes[site].process.pid)]

    def cut(self) -> None:
        """Cut every wire."""
        for wire in self.wires.values():
            wire.cut()

    async def reboot(self, site: str) -> None:
        """Let a site's inverter lose its supply for a moment."""
        client = await RawClient.connect(self.wires[f"{site}/inverter"].device_port)
        client.send((1, DOORBELL, b"\x01\x00\x00\x00\x01"))
        assert await client.ended(), "a device that reboots drops its clients"
        await client.close()

    async def close_contact(self, site: str, number: int) -> None:
        """Close a contact of a site's relay box, as the grid operator's receiver does."""
        client = await RawClient.connect(self.wires[f"{site}/box"].device_port)
        await client.ask(bytes((5, 0, number - 1, 0xFF, 0)))
        await client.close()

    # What is true.

    @contextlib.asynccontextmanager
    async def registers(self, site: str) -> AsyncIterator[Callable[[], Awaitable[Registers]]]:
        """Give a way to read what a site's inverter holds, past the gateway's wire."""
        client = await RawClient.connect(self.wires[f"{site}/inverter"].device_port)
        try:
            yield lambda: registers(client)
        finally:
            await client.close()

    def now_ms(self) -> int:
        """Return the sites' instant."""
        return epoch_ms(self.clock.now())

    def truth(self) -> list[tuple[int, dict[str, State]]]:
        """Return what the plant wrote about itself: instants and sites."""
        with files.truth(self.folder).open("rb") as file:
            file.seek(self._read_to)
            for line in file.readlines():
                if not line.endswith(b"\n"):
                    break  # The last line may be half written.
                self._read_to += len(line)
                said = json.loads(line)
                self._truth.append((int(said["at"]), said["sites"]))
        return self._truth

    def when(self, site: str, says: Says, *, from_ms: int) -> int | None:
        """Return the first instant from ``from_ms`` on from which something was true of a site and stayed so."""
        since: int | None = None
        for at_ms, sites in reversed(self.truth()):
            if at_ms < from_ms or not says(sites[site]):
                break
            since = at_ms
        return since

    def first_steady(self, site: str, says: Says, *, from_ms: int) -> int | None:
        """Return the first instant from ``from_ms`` on from which something was true of a site for ``STEADY_MS``."""
        since: int | None = None
        for at_ms, sites in self.truth():
            if at_ms < from_ms or not says(sites[site]):
                since = None
            elif since is None:
                since = at_ms
            elif at_ms - since >= STEADY_MS:
                return since
        return None

    def always(self, site: str, says: Says, *, from_ms: int, to_ms: int) -> bool:
        """Say whether something was true of a site at every line of the truth in a span."""
        return all(says(sites[site]) for at_ms, sites in self.truth() if from_ms <= at_ms <= to_ms)

    def latest(self, site: str) -> State:
        """Return a site's newest state, empty before the first."""
        return self.truth()[-1][1][site] if self.truth() else {}

    async def until(self, holds: Callable[[], Any], what: str) -> None:
        """Wait until something holds.

        Raises:
            AssertionError: It did not within the safety bound; the message names the sites' last state.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SAFETY_S):
                while not holds():  # noqa: ASYNC110 (other processes make it true)
                    await asyncio.sleep(0.02)
                return
        raise AssertionError(f"not within {SAFETY_S:.0f} s: {what}; the plant says {self.truth()[-1:]}")

    async def steadily(self, site: str, says: Says) -> None:
        """Wait until something has been true of a site for ``STEADY_MS``."""
        begun_ms = self.now_ms()

        def holds() -> bool:
            since_ms = self.when(site, says, from_ms=begun_ms)
            return since_ms is not None and self.truth()[-1][0] - since_ms >= STEADY_MS

        await self.until(holds, f"{site} is steady")

    async def until_ms(self, instant_ms: int) -> None:
        """Wait until the plant has written of an instant."""
        await self.until(lambda: self.truth() and self.truth()[-1][0] >= instant_ms, f"the plant reaches {instant_ms}")


@contextlib.asynccontextmanager
async def fault_rig(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    sites: Iterable[PlantSite],
    *,
    speed: float = SPEED,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
    battery: Mapping[str, Mapping[str, Any]] | None = None,
    rests: Mapping[str, str] | None = None,
    loads: Mapping[str, Mapping[str, Any]] | None = None,
    devices: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    trading: bool = False,
    started_at: datetime = NOON,
) -> AsyncIterator[FaultRig]:
    """Start a plant, a broker and a gateway for each site; hand them over; leave no process behind.

    Args:
        trading: Every site trades, in the market of a real cloud.
        started_at: The sites' instant at the start.
        sections: What else the configuration of a site's gateway says, by site.
        battery: What else it says of the battery.
        rests: What the loads of a site do while nobody asks: run, where it is not told.
        loads: What else it says of a load, by its device.
        devices: What else is a device of a site, beside those of the plant.
    """
    hinder = folder / "hinder"
    hinder.mkdir()
    monkeypatch.setenv("SITEWATT_HINDER", str(hinder))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).with_name("fault_hindrance")))
    built = tuple(sites)
    clock = scaled_clock(started_at=started_at, speed=speed)
    files.plant(folder).write_text(PlantConfig(sites=built).to_yaml(), encoding="utf-8")
    processes = Processes(files.logs(folder))
    broker_port = files.free_port()
    try:
        broker, plant = await asyncio.gather(
            start_broker(processes, folder, port=broker_port),
            processes.start(
                "plant", "firmware_sim", "--plant", str(files.plant(folder)), "--truth", str(files.truth(folder)),
                "--truth-every-s", "0.25", "--clock", clock.spec(),
            ),
        )  # fmt: skip
        keys = {issuer: Ed25519PrivateKey.generate() for issuer in (AGGREGATOR, GRID_OPERATOR)}
        wired = {name: port for name, port in plant.ready["ports"].items() if not name.endswith("/doorbell")}
        async with wires(wired) as strung:
            link = files.link_to(broker_port, embedded=broker.ready["kind"] == "amqtt")
            for site in built:
                content = _gateway(folder, site, keys, link=link, wires=strung, rests=(rests or {}).get(site.id, "on"))
                content.update({"trading": TRADING} if trading else {})
                content.update((sections or {}).get(site.id, {}))
                content["devices"] += [dict(device) for device in (devices or {}).get(site.id, ())]
                for device in content["devices"]:
                    if "battery" in device:
                        device["battery"].update((battery or {}).get(site.id, {}))
                    if "load" in device:
                        device["load"].update((loads or {}).get(device["id"], {}))
                files.gateway(folder, site.id).write_text(yaml.safe_dump(content), encoding="utf-8")
            found = FaultRig(
                folder=folder,
                clock=clock,
                processes=processes,
                wires=strung,
                broker_port=broker_port,
                sites=tuple(site.id for site in built),
                hinder=hinder,
                keys=keys,
            )
            if trading:
                write_cloud(folder, built, zone=ZONE, broker_port=broker_port, connection_w=CONNECTION_W)
                await start_cloud(processes, folder, clock=clock)
            await asyncio.gather(*(found.start(site) for site in found.sites))
            try:
                yield found
            finally:
                for name in found.sites:
                    processes.kill(name)
    finally:
        await processes.stop_all()


async def _answer(client: aiomqtt.Client, site: str, command: Command) -> CommandAck:
    """Return a site's first answer to a command, which is sent until it comes."""
    sending = asyncio.create_task(_send(client, site, command), name="send an order")
    try:
        async for message in client.messages:
            assert isinstance(message.payload, bytes), "an answer is bytes"
            ack = CommandAck.decode(message.payload)
            if ack.command_id == command.command_id:
                return ack
        raise AssertionError("the client of an open connection has no end of messages")
    finally:
        sending.cancel()


async def _send(client: aiomqtt.Client, site: str, command: Command) -> None:
    """Publish a command until cancelled: a gateway that has not subscribed yet hears it the next time."""
    while True:
        await client.publish(site_topic(zone=ZONE, site=site, channel=Down.COMMANDS), command.encode(), qos=1)
        await asyncio.sleep(_AGAIN_S)


def _gateway(
    folder: Path,
    site: PlantSite,
    keys: dict[str, Ed25519PrivateKey],
    *,
    link: dict[str, Any],
    wires: dict[str, Wire],
    rests: str,
) -> dict[str, Any]:
    inverter: dict[str, Any] = {
        "id": "inverter",
        "profile": "fronius_gen24_int" if site.battery else "sunspec_generic_int",
        "url": _url(wires, f"{site.id}/inverter"),
        "role": ("hybrid" if site.pv else "battery") if site.battery else "pv",
        "pv_peak_w": int(site.pv.peak_w or PV_W) if site.pv else 0,
    }
    if site.battery:
        inverter["battery"] = {
            "capacity_wh": int(site.battery.capacity_wh),
            "charge_limit_w": BATTERY_W,
            "discharge_limit_w": BATTERY_W,
        }
    meter = {"id": "meter", "profile": "eastron_sdm630", "url": _url(wires, f"{site.id}/meter"), "role": "meter"}
    devices = [meter, inverter]
    if _BOX in site.devices:
        devices.append(
            {"id": "box", "profile": "kmtronic_relay", "url": _url(wires, f"{site.id}/box"), "role": "relay"}
        )
    devices += [
        {
            "id": device.id,
            "profile": device.kind.value,
            "url": _url(wires, f"{site.id}/{device.id}"),
            "role": "load",
            "load": {"rated_w": 3_000 if device.kind is DeviceKind.STIEBEL_ISG else 11_000, "rest": rests},
        }
        for device in site.devices
        if device.kind in CONSUMERS
    ]
    return {
        "site": {"id": site.id, "zone": ZONE, "agent": "producer"},
        "connection": {"meter": "meter", "import_limit_w": CONNECTION_W, "export_limit_w": CONNECTION_W},
        "devices": devices,
        "link": {**link, "reconnect_s_min": 0.2, "reconnect_s_max": 1.0, "throttle": False},
        "state_dir": str(files.state(folder, site.id)),
        "commands": {
            "trusted": [
                {"issuer": AGGREGATOR, "role": "aggregator", "public_key": _public(keys[AGGREGATOR])},
                {"issuer": GRID_OPERATOR, "role": "grid_operator", "public_key": _public(keys[GRID_OPERATOR])},
            ]
        },
        "trading": {"enabled": False},
    }


def _url(wires: dict[str, Wire], name: str) -> str:
    return f"tcp://127.0.0.1:{wires[name].port}?unit=1"


def _public(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
