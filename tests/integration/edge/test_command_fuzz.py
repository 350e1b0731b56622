"""A running gateway under a storm of commands that it must not obey."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from contracts.control import BatteryPower, Refusal
from contracts.topics import Down, site_topic
from sitewatt.demo.processes import usage_of_all
from tests.support.rigs.command_fuzz import Fuzz
from tests.support.rigs.fault_rig import AGGREGATOR, ZONE, FaultRig, battery_site, fault_rig
from tests.support.rigs.gateway import until_status

SITE = "home"
BATCH = 400  # Below what may wait for the site, so that every message is judged.
POWER_W = 1_500
MEMORY_MB = 8.0  # Flat: what an interpreter's allocator may keep.
# Everything that the storm holds must be told by its own name.
TYPED = {
    Refusal.MALFORMED, Refusal.UNKNOWN_VERSION, Refusal.WRONG_SITE, Refusal.UNKNOWN_ISSUER, Refusal.BAD_SIGNATURE,
    Refusal.OUT_OF_ORDER, Refusal.EXPIRED, Refusal.FROM_THE_FUTURE, Refusal.CONFLICTING_ID,
}  # fmt: skip


def _judged(said: dict[str, Any]) -> int:
    return int(said["answers"]["rejected"] + said["answers"]["duplicate"])


def _have_judged(count: int, said: dict[str, Any]) -> bool:
    return _judged(said) >= count


async def _storm(place: FaultRig, fuzz: Fuzz, *, count: int) -> tuple[dict[str, Any], list[float]]:
    """Send so many messages, each judged before the next batch; return the last status and the memory after each."""
    topic = site_topic(zone=ZONE, site=SITE, channel=Down.COMMANDS)
    memory_mb: list[float] = []
    said = await until_status(place, SITE, lambda _: True, "it answers")
    began = _judged(said)
    async with aiomqtt.Client("127.0.0.1", place.broker_port) as client:
        messages, sent = fuzz.messages(count), 0
        while batch := [message for _, message in zip(range(BATCH), messages, strict=False)]:
            await asyncio.gather(*(client.publish(topic, message, qos=1) for message in batch))
            sent += len(batch)
            said = await until_status(place, SITE, partial(_have_judged, began + sent), f"{sent} were judged")
            usage = usage_of_all(place.pids()[0])
            assert usage is not None
            memory_mb.append(usage["rss_mb"])
    return said, memory_mb


async def _survives(place: FaultRig, *, count: int, seed: int) -> None:
    place.sent = 1_000  # Room for numbers that come late.
    order = await place.order(SITE, BatteryPower(power_w=POWER_W), issuer=AGGREGATOR, for_s=3_600)
    holds = lambda: abs(place.latest(SITE)["battery_w"] - POWER_W) < 100  # noqa: E731
    await place.until(holds, "the genuine order is obeyed")
    before = await until_status(place, SITE, lambda said: bool(said["commands"]), "it runs")
    from_ms = place.now_ms()
    fuzz = Fuzz(seed=seed, genuine=order, key=place.keys[AGGREGATOR], now=place.clock.now())

    said, memory_mb = await _storm(place, fuzz, count=count)

    assert _judged(said) - _judged(before) == count, f"seed {seed}"
    assert said["answers"]["accepted"] == before["answers"]["accepted"]
    assert set(said["answers"]) >= TYPED
    assert [one["command_id"] for one in said["commands"]] == [order.command_id]
    assert said["loop"]["late_in_a_row"] <= max(1, before["loop"]["late_in_a_row"])
    assert memory_mb[-1] - memory_mb[len(memory_mb) // 4] < MEMORY_MB, memory_mb
    unanswered = said["answers"]["unanswered"]
    assert unanswered > 0.8 * count, "a flood is counted, not answered"
    assert place.always(
        SITE, lambda state: abs(state["battery_w"] - POWER_W) < 100, from_ms=from_ms, to_ms=place.now_ms()
    )
    await place.order(SITE, BatteryPower(power_w=-POWER_W), issuer=AGGREGATOR, for_s=600)


async def test_a_storm_of_commands_has_no_effect_and_holds_no_cycle_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can reach the topic can neither steer the site, nor fill its disk, nor delay its control."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)], speed=1.0) as place:
        await _survives(place, count=3_000, seed=4)


@pytest.mark.nightly
async def test_a_hundred_thousand_commands_have_no_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same at length: memory stays flat, the next genuine order is obeyed."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)], speed=1.0) as place:
        await _survives(place, count=100_000, seed=20)
