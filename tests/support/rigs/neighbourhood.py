"""A running neighbourhood in the hands of a test: the demonstration's processes, a listener, the plant's truth."""

import asyncio
import base64
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloud.local.session import keep_session
from contracts.clock import ScaledClock
from contracts.control import AckStage, Action, Command, CommandAck
from contracts.market import MarketBroadcast
from contracts.metering import MeterReading
from contracts.topics import ROOT, Broadcast, Down, Up, parse, site_topic
from edge.errors import StatusUnavailable
from edge.site.status import ask_status
from firmware_sim.plant_config import PlantConfig
from firmware_sim.series import Week
from sitewatt.demo import files
from sitewatt.demo.neighbourhood import ZONE, Neighbourhood, neighbourhood
from sitewatt.demo.processes import Processes
from sitewatt.demo.run import start_broker, start_gateway, started
from sitewatt.demo.watch import Watcher

TEST_ISSUER = "test-aggregator"
WAIT_S = 100.0  # Real seconds: one safety bound for every wait.


@dataclass(kw_only=True)
class Heard:
    """What went over the broker, in order."""

    acks: list[CommandAck] = field(default_factory=list)
    market: list[MarketBroadcast] = field(default_factory=list)
    meters: list[MeterReading] = field(default_factory=list)


@dataclass(kw_only=True)
class RunningNeighbourhood:
    """A neighbourhood that runs."""

    place: Neighbourhood
    folder: Path
    processes: Processes
    clock: ScaledClock
    watcher: Watcher
    heard: Heard
    broker_port: int
    key: Ed25519PrivateKey
    sent: int = 0

    @property
    def gateways(self) -> list[str]:
        """Return every gateway's name, the feeder's first."""
        return [self.place.feeder.id, *(site.id for site in self.place.sites)]

    async def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Wait until something holds, and return it.

        Raises:
            AssertionError: It did not within the safety bound.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                while not (found := holds()):  # noqa: ASYNC110 (other processes make it true)
                    await asyncio.sleep(0.05)
                return found
        raise AssertionError(f"not within {WAIT_S:.0f} s: {what}; logs in {self.folder / 'logs'}")

    async def until_online(self, *names: str) -> None:
        """Wait until gateways have reported power since they came."""
        view = self.watcher.view
        await self.until(
            lambda: all(name in view.sites and view.sites[name].online for name in names), f"{names} online"
        )

    async def trust_test_key(self, name: str) -> None:
        """Let one gateway trust the test's own key, and start it again."""
        path = files.gateway(self.folder, name)
        config = yaml.safe_load(path.read_text())
        public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        trusted = {"issuer": TEST_ISSUER, "role": "aggregator", "public_key": base64.b64encode(public).decode()}
        config["commands"]["trusted"].append(trusted)
        path.write_text(yaml.safe_dump(config))
        await self.processes.stop([name])
        await start_gateway(self.processes, self.folder, name, clock=self.clock)
        await self.until_online(name)
        await self.until(lambda: self._sees_devices(name), f"{name} has read its devices")

    def _sees_devices(self, name: str) -> bool:
        """Return whether a gateway knows what its devices can do; until then it can promise nothing."""
        try:
            cycle = ask_status(files.state(self.folder, name))["cycle"]
        except StatusUnavailable:
            return False
        return cycle is not None and not cycle["alarms"]

    async def command(self, site: str, action: Action, *, for_s: float) -> Command:
        """Send a signed command and return it."""
        self.sent += 1
        now = self.clock.now()
        command = Command(
            command_id=f"test-{self.sent}",
            site=site,
            issuer=TEST_ISSUER,
            seq=self.sent,
            issued_at=now,
            expires_at=now + timedelta(seconds=for_s),
            action=action,
        )
        signature = base64.b64encode(self.key.sign(command.signing_bytes())).decode()
        signed = command.model_copy(update={"signature": signature})
        async with _client(self.broker_port) as client:
            await client.publish(site_topic(zone=ZONE, site=site, channel=Down.COMMANDS), signed.encode(), qos=1)
        return signed

    def stages(self, command: Command) -> list[AckStage]:
        """Return the stages that a command has been heard to take."""
        return [ack.stage for ack in self.heard.acks if ack.command_id == command.command_id]

    def truth(self) -> list[dict[str, Any]]:
        """Return what the plant wrote about itself so far."""
        lines = files.truth(self.folder).read_text().splitlines()
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):  # The last line may be half written.
                found.append(json.loads(line))
        return found

    async def restart_broker(self) -> None:
        """Start the broker again on its port and on what it kept."""
        await start_broker(self.processes, self.folder, port=self.broker_port)


@contextlib.asynccontextmanager
async def running_neighbourhood(
    folder: Path,
    *,
    sites: int,
    speed: float = 20.0,
    plant: Callable[[PlantConfig], PlantConfig] = lambda config: config,
    prepare: Callable[[Path], None] = lambda _: None,
) -> AsyncIterator[RunningNeighbourhood]:
    """Start a neighbourhood, hand it over, and leave no process behind.

    ``plant`` changes what is simulated, ``prepare`` the configurations in the folder.
    """
    place = neighbourhood(sites=sites, week=Week.SUNNY)
    processes = Processes(files.logs(folder))
    try:
        running = started(
            place, processes, folder, speed=speed, say=lambda _: None, plant=plant(place.plant()), prepare=prepare
        )
        async with running as (clock, watcher):
            port = int(processes["broker"].ready["port"])
            heard = Heard()
            listening = asyncio.create_task(_listen(port, heard), name="listen")
            try:
                yield RunningNeighbourhood(
                    place=place,
                    folder=folder,
                    processes=processes,
                    clock=clock,
                    watcher=watcher,
                    heard=heard,
                    broker_port=port,
                    key=Ed25519PrivateKey.generate(),
                )
            finally:
                listening.cancel()
    finally:
        await processes.stop_all()


def _client(port: int) -> aiomqtt.Client:
    return aiomqtt.Client("127.0.0.1", port, socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)])


async def _listen(port: int, heard: Heard) -> None:
    async def hear(client: aiomqtt.Client) -> None:
        await client.subscribe(f"{ROOT}/#", qos=1)
        async for message in client.messages:
            topic = parse(str(message.topic))
            payload = message.payload
            if topic is None or not isinstance(payload, bytes):
                continue
            if topic.channel is Up.ACKS:
                heard.acks.append(CommandAck.decode(payload))
            elif topic.channel is Up.METER:
                heard.meters.append(MeterReading.decode(payload))
            elif topic.channel is Broadcast.MARKET:
                heard.market.append(MarketBroadcast.decode(payload))

    await keep_session(lambda: _client(port), hear, pause_s=lambda: 0.2)
