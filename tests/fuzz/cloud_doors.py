"""Doors of the cloud: every channel of a site, through the rules, the border and each function, to the store."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from cloud.infra.rules import CONSUMERS, Stream
from contracts.control import AckStage, CommandAck
from contracts.market import Availability, Side
from contracts.telemetry import EventMessage, StatusMessage
from contracts.topics import Up
from contracts.wire import Message, WireError
from tests.fuzz.door import Door, Form, Take
from tests.support.cloud.sites import START, batch, context, house_in, order, reading, telemetry

SITE = "home-1"
BEGIN = START + timedelta(hours=1)


@contextmanager
def _functions(folder: Path, channel: Up) -> Iterator[Take]:
    """Hand a payload to every function of a channel's stream; none may ask for it again or raise."""
    consumers = [consumer for consumer in CONSUMERS if consumer.stream is Stream(channel.value)]
    handlers = {consumer.handler: importlib.import_module(consumer.handler).handler for consumer in consumers}
    assert handlers, f"nobody reads {channel}"
    with house_in(folder):

        def take(raw: bytes) -> None:
            try:
                event = batch(channel, raw, at=START)
            except WireError:  # The rules pass on nothing that is no JSON object.
                return
            for name, handler in handlers.items():
                answer = handler(event, context())
                assert answer == {"batchItemFailures": []}, f"{name} wants it delivered again: {answer}"

        yield take


def _samples() -> dict[Up, list[Message]]:
    availability = Availability(interval_start=BEGIN, import_wh=(4000, 4000), export_wh=(2000, 2000))
    new = order(SITE, 1, BEGIN, Side.BUY, 500, 20_000, at=START)
    sent: dict[str, Any] = {"site": SITE, "epoch": 1, "seq": 1, "sent_at": START}
    return {
        Up.TELEMETRY: [
            telemetry(SITE, 1, START, {"meter/active_power_w": [100.0, None, 300.5], "inverter/soc_pct": [50.0]})
        ],
        Up.METER: [reading(SITE, 1, START - timedelta(minutes=15), import_wh=250)],
        Up.ORDERS: [new, new.model_copy(update={"ability": availability, "seq": 2, "order_id": "o2"})],
        Up.ACKS: [CommandAck(**sent, command_id="c1", stage=AckStage.APPLIED, at=START, readback={"inverter/x": 1.0})],
        Up.EVENTS: [EventMessage(**sent, at=START, phrase="device silent", fields={"device": "meter"})],
        Up.STATUS: [StatusMessage(**sent, online=True)],
    }


DOORS = tuple(
    Door(
        name=f"up-{channel.value}",
        form=Form.JSON,
        samples=[message.encode() for message in messages],
        open=partial(_functions, channel=channel),
    )
    for channel, messages in _samples().items()
)
