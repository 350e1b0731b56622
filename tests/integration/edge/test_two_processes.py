"""A gateway is two processes: whatever befalls the site's, control misses nothing; and control comes back alone."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from contracts.control import AckStage, BatteryPower, CommandAck, LimitImport
from contracts.topics import Up, site_topic
from domain.one_thread import ONE_THREAD
from edge.process.memory import MALLOC
from tests.support.rigs.fault_rig import AGGREGATOR, GRID_OPERATOR, ZONE, FaultRig, battery_site, fault_rig
from tests.support.rigs.gateway import until_status

SITE = "home"
LIMIT_W = 500
# Slow enough that a busy machine's hiccup is no late cycle of the site.
SPEED = 3.0
ORDER_S = 3_600.0
SHORT_S = 15.0
# In a row. A site process that blocks for 10 s would cost 30; a busy machine costs one or two.
MISSED_MAX = 10


@asynccontextmanager
async def _hearing(place: FaultRig) -> AsyncIterator[list[CommandAck]]:
    """Collect the site's answers for the block."""
    answers: list[CommandAck] = []
    async with aiomqtt.Client("127.0.0.1", place.broker_port) as client:
        await client.subscribe(site_topic(zone=ZONE, site=SITE, channel=Up.ACKS), qos=1)

        async def hear() -> None:
            async for message in client.messages:
                assert isinstance(message.payload, bytes), "an answer is bytes"
                answers.append(CommandAck.decode(message.payload))

        task = asyncio.create_task(hear(), name="hear answers")
        try:
            yield answers
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _stages(answers: list[CommandAck], command_id: str) -> list[AckStage]:
    """Return the stages that a command was told to take, each number once: the broker may bring one twice."""
    numbered = {(ack.epoch, ack.seq): ack.stage for ack in answers if ack.command_id == command_id}
    return [numbered[number] for number in sorted(numbered)]


def _kill(place: FaultRig, pids: dict[str, int]) -> None:
    os.kill(pids["site"], signal.SIGKILL)


def _stop(place: FaultRig, pids: dict[str, int]) -> None:
    os.kill(pids["site"], signal.SIGSTOP)


def _fault(name: str) -> Callable[[FaultRig, dict[str, int]], None]:
    def touch(place: FaultRig, _: dict[str, int]) -> None:
        (place.hinder / f"site-{name}").touch()

    return touch


def _environment(pid: int) -> dict[str, str]:
    told = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(each.split("=", 1) for each in told if each)


def _pids(said: dict[str, Any]) -> dict[str, int]:
    return {name: process["pid"] for name, process in said["processes"].items()}


@pytest.mark.parametrize(
    ("befalls", "comes_anew"),
    [
        pytest.param(_fault("raise"), False, id="raises"),
        pytest.param(_fault("block"), False, id="blocks-10-s"),
        pytest.param(_fault("eat"), False, id="eats-its-memory"),
        pytest.param(_fault("crash"), True, id="crashes"),
        pytest.param(_kill, True, id="killed"),
        pytest.param(_stop, False, id="stopped"),
    ],
)
async def test_whatever_befalls_the_site_process_control_goes_on_and_each_answer_comes_once(
    befalls: Callable[[FaultRig, dict[str, int]], None],
    comes_anew: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A limit stands, its cycles go on, and what was to be told is told after all."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)], speed=SPEED) as place, _hearing(place) as answers:
        await place.order(SITE, LimitImport(max_w=LIMIT_W), issuer=GRID_OPERATOR, for_s=ORDER_S)
        short = await place.order(SITE, BatteryPower(power_w=-1_900), issuer=AGGREGATOR, for_s=SHORT_S)
        await place.until(lambda: place.latest(SITE)["connection_w"] < LIMIT_W + 100, "the limit is kept")
        before = await until_status(place, SITE, lambda said: len(said["commands"]) == 2, "both orders run")
        pids, from_ms = _pids(before), place.now_ms()

        befalls(place, pids)
        # The short order ends meanwhile, whether anybody hears of it or not.
        after = await until_status(place, SITE, lambda said: len(said["commands"]) == 1, "control has ended it")
        if befalls is _stop:
            os.kill(pids["site"], signal.SIGCONT)

        ends = {AckStage.COMPLETED, AckStage.EXPIRED, AckStage.SUPERSEDED}
        await place.until(lambda: ends & set(_stages(answers, short.command_id)), "its end is told")
        said = await until_status(place, SITE, lambda said: said["link"]["state"] == "connected", "the link is there")
        # An order that is sent again is answered again; every step after that is told once.
        steps = [stage for stage in _stages(answers, short.command_id) if stage is not AckStage.ACCEPTED]
        assert len(steps) == len(set(steps)), steps
        assert (_pids(said)["site"] != pids["site"], _pids(said)["control"]) == (comes_anew, pids["control"])
        assert after["loop"]["cycles"] > before["loop"]["cycles"] and after["loop"]["failed_writes"] == 0
        assert after["loop"]["late_in_a_row"] <= max(before["loop"]["late_in_a_row"], MISSED_MAX), "control waited"
        assert place.always(
            SITE, lambda one: one["connection_w"] < LIMIT_W + 200, from_ms=from_ms, to_ms=place.now_ms()
        ), "the limit was left"


async def test_control_that_is_killed_comes_back_alone_and_takes_the_limit_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link stays up, the site process too; what the grid operator limited goes on."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)], speed=SPEED) as place:
        await place.order(SITE, LimitImport(max_w=LIMIT_W), issuer=GRID_OPERATOR, for_s=ORDER_S)
        await place.until(lambda: place.latest(SITE)["connection_w"] < LIMIT_W + 100, "the limit is kept")
        before = await until_status(place, SITE, lambda said: said["link"]["state"] == "connected", "all is there")
        pids, from_ms = _pids(before), place.now_ms()

        os.kill(pids["control"], signal.SIGKILL)
        said = await until_status(
            place, SITE, lambda said: said["processes"]["control"]["restarts"] == 1 and bool(said["commands"]), "it is"
        )
        assert _pids(said)["control"] != pids["control"] and _pids(said)["site"] == pids["site"]
        assert said["link"]["connects"] == before["link"]["connects"], "nobody outside noticed"
        assert said["commands"][0]["action"]["kind"] == "limit_import"
        await until_status(place, SITE, lambda said: said["commands"][0]["stage"] == "effective", "in force again")
        assert place.always(
            SITE, lambda one: one["connection_w"] < LIMIT_W + 200, from_ms=from_ms, to_ms=place.now_ms()
        ), "the device held it meanwhile"


async def test_both_processes_end_with_their_parent_however_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway whose parent was killed must not command devices beside the next one; both give memory back."""
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)]) as place:
        parent = place.processes[SITE].process
        ready = place.processes[SITE].ready
        for name in ("control_pid", "site_pid"):
            assert {**MALLOC, **ONE_THREAD}.items() <= _environment(ready[name]).items(), name
        os.kill(parent.pid, signal.SIGKILL)
        await parent.wait()
        left = [Path(f"/proc/{ready[name]}") for name in ("control_pid", "site_pid")]
        await place.until(lambda: not any(path.exists() for path in left), "both are gone")
        await place.start(SITE)
        await until_status(place, SITE, lambda said: all(one["alive"] for one in said["processes"].values()), "anew")
