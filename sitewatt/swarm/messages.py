"""What a bad network and a hostile client put on the broker: repetitions, pieces, and what was never valid."""

import asyncio
import contextlib
import json
import random
from collections.abc import Iterator
from typing import Final

import aiomqtt

from contracts.topics import ROOT, Down, Up, parse, site_topic
from sitewatt.demo.neighbourhood import ZONE

GARBAGE_COUNT: Final = 60
REPEATED_MAX: Final = 60
CONNECT_S: Final = 5.0  # Real seconds; a broker that is gone takes nothing, and nothing is what it gets.
_CHANNELS: Final = (Down.COMMANDS, Up.TELEMETRY, Up.METER, Up.ORDERS, Up.ACKS, Up.EVENTS)
_REPEATED: Final = frozenset(_CHANNELS)


async def throw_garbage(*, port: int, site: str, seed: int) -> int:
    """Publish what no reader may take, on every channel of a site; return how many messages the broker took."""
    taken = 0
    with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
        async with asyncio.timeout(CONNECT_S), aiomqtt.Client("127.0.0.1", port) as client:
            for channel, payload in garbage(seed, site=site):
                await client.publish(site_topic(zone=ZONE, site=site, channel=channel), payload, qos=1)
                taken += 1
    return taken


async def repeat(*, port: int, seed: int, listen_s: float, wait_s: float) -> int:
    """Hear messages for a while, then publish them again: late, twice, in another order, and cut short.

    Args:
        listen_s: Real seconds.
        wait_s: Real seconds between what was heard and its repetition.

    Returns:
        How many messages the broker took.
    """
    generator = random.Random(seed)
    taken = 0
    with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
        async with asyncio.timeout(CONNECT_S + listen_s + wait_s), aiomqtt.Client("127.0.0.1", port) as client:
            heard = await _heard(client, listen_s)
            await asyncio.sleep(wait_s)
            for topic, payload in again(heard, generator):
                await client.publish(topic, payload, qos=1)
                taken += 1
    return taken


async def _heard(client: aiomqtt.Client, listen_s: float) -> list[tuple[str, bytes]]:
    heard: list[tuple[str, bytes]] = []
    await client.subscribe(f"{ROOT}/+/+/+", qos=1)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(listen_s):
            async for message in client.messages:
                topic = parse(str(message.topic))
                if topic is not None and topic.channel in _REPEATED and isinstance(message.payload, bytes):
                    heard.append((str(message.topic), message.payload))
    await client.unsubscribe(f"{ROOT}/+/+/+")
    return heard[:REPEATED_MAX]


def again(heard: list[tuple[str, bytes]], generator: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield every message twice in another order, and a piece of some."""
    twice = [*heard, *heard]
    generator.shuffle(twice)
    for topic, payload in twice:
        yield topic, payload
        if payload and generator.random() < 0.2:
            yield topic, payload[: generator.randrange(len(payload))]


def garbage(seed: int, *, site: str) -> Iterator[tuple[Up | Down, bytes]]:
    """Yield channels and payloads of which none can be taken; the same for the same seed."""
    generator = random.Random(seed)
    for _ in range(GARBAGE_COUNT):
        yield generator.choice(_CHANNELS), _payload(generator, site)


def _payload(generator: random.Random, site: str) -> bytes:
    match generator.randrange(9):
        case 0:
            return generator.randbytes(generator.randrange(600))
        case 1:
            return b'{"v":1,"a":' + b"[" * generator.randrange(20, 6000)
        case 2:
            return json.dumps({"v": 1, "site": site, "epoch": 1, "seq": 10 ** generator.randrange(20, 39)}).encode()
        case 3:
            return json.dumps({"v": 1, "site": "\ud800", "epoch": 1, "seq": 1}).encode()
        case 4:
            return json.dumps({"v": generator.choice((0, 2, "1", None)), "site": site}).encode()
        case 5:
            return b'{"v":1,"site":"' + b"x" * generator.randrange(100, 60_000) + b'"}'
        case 6:
            return b'{"v":1,"seq":' + b"9" * generator.randrange(41, 3000) + b"}"
        case 7:
            return json.dumps([{"v": 1}] * generator.randrange(1, 50)).encode()
        case _:
            return b""
