"""The grid operator of a run: gives the drawn orders through the broker and hears what becomes of them."""

import asyncio
import base64
import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import aiomqtt
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloud.local.session import keep_session
from contracts.clock import Clock
from contracts.control import AckStage, Command, CommandAck, LimitExport, LimitLoad
from contracts.topics import ROOT, Down, Up, parse, site_topic
from contracts.wire import WireError
from sitewatt.demo import files
from sitewatt.demo.neighbourhood import ZONE
from sitewatt.operator.post import signed
from sitewatt.swarm.plan import Order, Ordered, Plan
from sitewatt.swarm.stations import DEVICE

ISSUER: Final = "swarm-operator"
AGAIN_S: Final = 2.0  # Real seconds after which a command without an answer is sent again, unchanged.
RECONNECT_S: Final = 0.5


@dataclass(kw_only=True)
class Given:
    """An order as it was signed, and every answer to it that was heard."""

    order: Order
    command: Command
    answers: list[CommandAck] = field(default_factory=list)

    def first(self, *stages: AckStage) -> CommandAck | None:
        """Return the earliest answer of one of these stages."""
        return min((ack for ack in self.answers if ack.stage in stages), key=lambda ack: ack.at, default=None)


class OrderSender:
    """Gives orders on time and gathers the answers; a broker that is gone is waited for."""

    def __init__(self, plan: Plan) -> None:
        self.given: list[Given] = []
        self.acks = 0
        self._plan = plan
        self._key = Ed25519PrivateKey.generate()

    def trust_in(self, folder: Path) -> None:
        """Let every site's configuration trust the operator of the run beside its own."""
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        trusted = {"issuer": ISSUER, "role": "grid_operator", "public_key": base64.b64encode(public).decode()}
        for site in self._plan.place.sites:
            path = files.gateway(folder, site.id)
            content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
            content["commands"]["trusted"].append(trusted)
            path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def open(self, *, clock: Clock, port: int) -> None:
        """Say by which clock orders are given, and where the broker is, before the first is given."""
        self._clock, self._port = clock, port

    async def give(self, order: Order, *, begun_s: float) -> None:
        """Wait for an order's time, then send it again and again until the site answers or it has expired."""
        await self._clock.sleep(begun_s + order.at_s - self._clock.monotonic())
        command = signed(
            _action(order),
            site=order.site,
            issuer=ISSUER,
            seq=order.number,
            now=self._clock.now(),
            lasts=timedelta(seconds=order.for_s),
            key=self._key,
        )
        given = Given(order=order, command=command)
        self.given.append(given)
        topic = site_topic(zone=ZONE, site=order.site, channel=Down.COMMANDS)
        while not given.answers and self._clock.now() < command.expires_at:
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                async with asyncio.timeout(AGAIN_S * 2), aiomqtt.Client("127.0.0.1", self._port) as client:
                    await client.publish(topic, command.encode(), qos=1)
            await asyncio.sleep(AGAIN_S)

    async def listen(self) -> None:
        """Hear answers until cancelled; the broker keeps them while this client is away."""

        def client() -> aiomqtt.Client:
            return aiomqtt.Client("127.0.0.1", self._port, identifier=ISSUER, clean_session=False)

        async def hear(client: aiomqtt.Client) -> None:
            await client.subscribe(f"{ROOT}/+/+/{Up.ACKS.value}", qos=1)
            async for message in client.messages:
                self._hear(str(message.topic), message.payload)

        await keep_session(client, hear, pause_s=lambda: RECONNECT_S)

    def _hear(self, name: str, payload: object) -> None:
        topic = parse(name)
        if topic is None or topic.channel is not Up.ACKS or not isinstance(payload, bytes):
            return
        with contextlib.suppress(WireError):
            ack = CommandAck.decode(payload)
            self.acks += 1
            for given in self.given:
                if given.command.command_id == ack.command_id and given.command.site == ack.site:
                    given.answers.append(ack)


def _action(order: Order) -> LimitExport | LimitLoad:
    match order.what:
        case Ordered.EXPORT:
            return LimitExport(max_w=order.max_w)
        case Ordered.STATION:
            return LimitLoad(device=DEVICE, max_w=order.max_w)
