"""What a program of the house finds on a real broker: retained values, presence, and a lock that it may set."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from contracts.clock import SystemClock
from contracts.units import Quality
from edge.links.settings import LinkSettings
from edge.modbus.point import Reading
from edge.plain.publisher import LockPort, NumberPort, Publisher
from edge.plain.settings import Control, HomeAssistantSettings, PlainSettings
from tests.support.brokers.broker import Broker, broker
from tests.support.brokers.link_parts import Listener, background, until
from tests.support.rigs.fault_rig import SAFETY_S, battery_site, fault_rig
from tests.support.rigs.gateway import restart, until_status

__all__ = ["broker"]

FLOWS = {"meter": {"active_power_w": Reading(value=1200.0, quality=Quality.GOOD)}}


class _Lock:
    def __init__(self) -> None:
        self.on = False
        self.seen: list[bool] = []

    def port(self) -> LockPort:
        return LockPort(locked=lambda: self.on, set=self._set)

    def _set(self, on: bool) -> None:
        self.on = on
        self.seen.append(on)


def _publisher(settings: PlainSettings, lock: _Lock) -> Publisher:
    return Publisher(settings, site="home", profiles={"meter": "eastron_sdm630"}, lock=lock.port(), clock=SystemClock())


def _settings(broker: Broker, *controls: Control) -> HomeAssistantSettings:
    link = LinkSettings(url=broker.url, reconnect_s_min=0.05, reconnect_s_max=0.2, throttle=False)
    return HomeAssistantSettings(broker=link, period_s=0.5, controls=controls)


@contextlib.asynccontextmanager
async def _heard(broker: Broker) -> AsyncIterator[dict[str, bytes]]:
    """Keep the newest payload of every topic."""
    newest: dict[str, bytes] = {}
    listener = Listener(broker, "#")
    async with background(listener.run(), name="program of the house"):
        await listener.ready.wait()

        async def keep() -> None:
            while True:
                newest.update({message.topic.value: bytes(message.payload) for message in listener.received})
                await asyncio.sleep(0.02)

        async with background(keep(), name="newest"):
            yield newest


async def test_values_are_there_for_who_comes_later_and_go_when_the_gateway_goes(broker: Broker) -> None:
    """Home Assistant may be started after us; what it then finds must not be old."""
    publisher = _publisher(_settings(broker), _Lock())
    publisher.take(FLOWS, offline=(), taken_s=0.0)
    async with background(publisher.run(), name="publisher"):
        async with _heard(broker) as newest:
            await until(lambda: newest.get("sitewatt-house/home/meter/active_power_w") == b"1200")
        async with _heard(broker) as newest:  # Retained: somebody who comes now is told too.
            await until(lambda: newest.get("sitewatt-house/home/meter/active_power_w") == b"1200")
            config = json.loads(newest["homeassistant/sensor/sitewatt/home_meter_active_power_w/config"])
            assert newest[config["availability"][0]["topic"]] == b"online"
            assert newest[config["availability"][1]["topic"]] == b"online"
            publisher.take(FLOWS, offline=("meter",), taken_s=1.0)
            await until(lambda: newest[config["availability"][1]["topic"]] == b"offline")
    async with _heard(broker) as newest:
        await until(lambda: newest.get("sitewatt-house/home/online") == b"offline")


async def test_a_broker_that_was_started_anew_is_told_everything(broker: Broker) -> None:
    """Its retained messages are gone; the values did not change."""
    publisher = _publisher(_settings(broker), _Lock())
    publisher.take(FLOWS, offline=(), taken_s=0.0)
    async with background(publisher.run(), name="publisher"), _heard(broker) as newest:
        await until(lambda: "sitewatt-house/home/meter/active_power_w" in newest)
        await asyncio.to_thread(broker.kill)
        newest.clear()
        await asyncio.to_thread(broker.start)
        async with _heard(broker) as again:
            await until(lambda: again.get("sitewatt-house/home/meter/active_power_w") == b"1200")
            assert "homeassistant/sensor/sitewatt/home_meter_active_power_w/config" in again


@pytest.mark.parametrize("refused", [b"on", b"", b"\xff" * 99, b"OFF "])
async def test_the_lock_is_set_by_its_words_alone(broker: Broker, refused: bytes) -> None:
    """What is refused changes nothing: one connection's messages come in order, so it was looked at before the next."""
    lock = _Lock()
    publisher = _publisher(_settings(broker, Control.LOCK), lock)
    async with background(publisher.run(), name="publisher"), _heard(broker) as newest:
        await until(lambda: newest.get("sitewatt-house/home/lock") == b"OFF")
        async with aiomqtt.Client("127.0.0.1", broker.port) as house:
            await house.publish("sitewatt-house/home/lock/set", b"ON", qos=1)
            await until(lambda: newest["sitewatt-house/home/lock"] == b"ON")
            await house.publish("sitewatt-house/home/lock/set", refused, qos=1)
            await house.publish("sitewatt-house/home/lock/set", b"OFF", qos=1)
            await until(lambda: newest["sitewatt-house/home/lock"] == b"OFF")
    assert lock.seen == [True, False]


@pytest.mark.parametrize("refused", [b"9000", b"-1", b"5e3", b"", b"\xff", b"9" * 20])
async def test_a_number_is_set_and_a_refused_one_falls_back(broker: Broker, refused: bytes) -> None:
    """A slider that stays where it was dragged to tells something that is not so."""
    stands = [8000]

    def take(watts: int) -> None:
        if watts > 8000:
            raise ValueError("above the 8000 of the site's file")
        stands.append(watts)

    publisher = Publisher(
        _settings(broker, Control.EXPORT_LIMIT_W),
        site="home",
        profiles={},
        lock=_Lock().port(),
        clock=SystemClock(),
        numbers={Control.EXPORT_LIMIT_W: NumberPort(value=lambda: stands[-1], most=8000, set=take)},
    )
    topic = "sitewatt-house/home/export_limit_w"
    async with background(publisher.run(), name="publisher"), aiomqtt.Client("127.0.0.1", broker.port) as house:
        await house.subscribe([(topic, 1), ("homeassistant/number/#", 1)])
        async with asyncio.timeout(SAFETY_S):
            told = _payloads(house)
            config = json.loads(await anext(told))
            assert (config["min"], config["max"], config["state_topic"]) == (0, 8000, topic)
            assert await anext(told) == b"8000"
            await house.publish(config["command_topic"], b"5000.0", qos=1)
            assert await anext(told) == b"5000"
            await house.publish(config["command_topic"], refused, qos=1)
            assert await anext(told) == b"5000"
    assert stands == [8000, 5000]


async def _payloads(house: aiomqtt.Client) -> AsyncIterator[bytes]:
    async for message in house.messages:
        assert isinstance(message.payload, bytes)
        yield message.payload


async def test_nothing_is_set_where_the_site_file_allows_nothing(broker: Broker) -> None:
    """The topic is not even listened to."""
    lock = _Lock()
    publisher = _publisher(_settings(broker), lock)
    publisher.take(FLOWS, offline=(), taken_s=0.0)
    async with background(publisher.run(), name="publisher"), _heard(broker) as newest:
        await until(lambda: "sitewatt-house/home/meter/active_power_w" in newest)
        async with aiomqtt.Client("127.0.0.1", broker.port) as house:
            await house.publish("sitewatt-house/home/lock/set", b"ON", qos=1)
        publisher.take({"meter": {"active_power_w": Reading(value=5.0, quality=Quality.GOOD)}}, offline=(), taken_s=1.0)
        await until(lambda: newest["sitewatt-house/home/meter/active_power_w"] == b"5")
    assert not lock.on


async def test_a_gateway_tells_home_assistant_by_one_key_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the registers of a simulated meter to a retained topic, through both processes; and its lock."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site("home")]) as place:
        url = f"mqtt://127.0.0.1:{place.broker_port}"
        settings = {"broker": {"url": url}, "period_s": 0.5, "controls": ["lock"]}
        await restart(place, "home", lambda content: content.update(home_assistant=settings))
        async with aiomqtt.Client("127.0.0.1", place.broker_port) as house, asyncio.timeout(SAFETY_S):
            await house.subscribe("sitewatt-house/home/#", qos=1)
            powers: set[str] = set()
            async for message in house.messages:
                assert isinstance(message.payload, bytes)
                if message.payload not in {b"None", b"offline"} and message.topic.value.endswith("active_power_w"):
                    powers.add(message.topic.value)
                if len(powers) == 2:  # Inverter and meter.
                    break
            await house.publish("sitewatt-house/home/lock/set", b"ON", qos=1)
        await until_status(place, "home", lambda said: said["locked"], "it is locked")
