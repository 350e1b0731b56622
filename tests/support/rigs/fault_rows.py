"""The rows of the kill matrix: what is broken, and what is promised of orders while it is.

To add a row, append a ``Failure`` to ``FAILURES``. One that names ``sites`` or ``columns`` runs on those instead of on
the four of the table. A row without ``in_ci`` runs at night.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiomqtt
import pytest

from contracts.control import BatteryPower
from contracts.forecast import ForecastBroadcast
from contracts.topics import Down, site_topic
from tests.support.rigs.fault_disk import Disk
from tests.support.rigs.fault_matrix import COLUMNS, LIMIT_W, Column, Promise
from tests.support.rigs.fault_rig import AGGREGATOR, SAFETY_S, ZONE, FaultRig
from tests.support.rigs.fault_wire import overwrite
from tests.support.rigs.gateway import change_config, until_status

DAY_S = 86_400.0
OLD = timedelta(hours=2, minutes=1)
# SunSpec models 123 and 124, from the id register on: WMaxLim_Ena and StorCtl_Mod.
_LIMIT_ENABLE = (123, 9)
_STORAGE_MODE = (124, 5)

Breaks = Callable[[FaultRig, Disk], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One row: what is broken, what is promised of market orders and of the grid operator's limit.

    ``proof`` fails where the gateways did not suffer what was done to them, for failures that the plant cannot show.
    ``from_start`` counts from when the gateways run again, where it is their start that lets go. A row that lasts hours
    has a ``speed`` of its own, and only the columns that it says something new of; its gateways do not trade.
    ``sections`` is what else the configuration of a site says.
    """

    name: str
    breaks: Breaks
    market: Promise
    limit: Promise
    stateful: bool = False
    proof: Breaks | None = None
    in_ci: bool = False
    from_start: bool = False
    speed: float | None = None
    columns: tuple[Column, ...] = COLUMNS
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def trades(self) -> bool:
        """Say whether the sites trade in a real cloud's market meanwhile."""
        return self.speed is None

    def promise(self, column: Column) -> Promise:
        """Return what is promised of a column."""
        return self.limit if column.site == "limit" else self.market


async def kill(place: FaultRig, _: Disk) -> None:
    place.signal(signal.SIGKILL)


async def stop(place: FaultRig, _: Disk) -> None:
    place.signal(signal.SIGSTOP)


async def hang(place: FaultRig, _: Disk) -> None:
    (place.hinder / "hang").touch()


async def _a_part_fails(place: FaultRig, _: Disk) -> None:
    """Let a part raise, then crash the process that it is in, at every site."""
    for fault in ("raise", "crash"):
        await _meets(place, fault)


async def _meets(place: FaultRig, fault: str) -> None:
    asked = [place.hinder / f"{site}-site-{fault}" for site in place.sites]
    for path in asked:
        path.touch()
    await place.until(lambda: not any(path.exists() for path in asked), f"every site process met {fault}")


async def _the_parts_came_back(place: FaultRig, _: Disk) -> None:
    """Fail unless another site process runs at every site, beside the same control."""
    for site in place.sites:
        before = place.processes[site].ready
        said = await until_status(
            place, site, lambda said: all(one["alive"] for one in said["processes"].values()), "both processes run"
        )
        pids = {name: one["pid"] for name, one in said["processes"].items()}
        assert pids["control"] == before["control_pid"], f"control of {site} ended"
        assert pids["site"] != before["site_pid"], f"the site process of {site} did not end"


async def no_broker(place: FaultRig, _: Disk) -> None:
    place.processes.kill("broker")


async def _no_cloud(place: FaultRig, _: Disk) -> None:
    place.processes.kill("cloud")


async def _no_outlook(place: FaultRig, _: Disk) -> None:
    """Start every gateway again with orders in the market and nobody who tells it of the hours to come."""
    for part in ("cloud", "broker"):
        place.processes.kill(part)
    await _start_again(place)


async def _old_outlook(place: FaultRig, _: Disk) -> None:
    """Start every gateway again with the outlook that a cloud left which died two hours ago."""
    place.processes.kill("cloud")
    async with asyncio.timeout(SAFETY_S), aiomqtt.Client("127.0.0.1", place.broker_port) as client:
        topics = [site_topic(zone=ZONE, site=site, channel=Down.OUTLOOK) for site in place.sites]
        for topic in topics:
            await client.subscribe(topic, qos=1)
        left: dict[str, bytes] = {}
        async for message in client.messages:
            if message.retain and isinstance(message.payload, bytes):
                left[str(message.topic)] = message.payload
            if len(left) == len(topics):
                break
        for topic, payload in left.items():
            outlook = ForecastBroadcast.decode(payload)
            old = outlook.model_copy(update={"issued_at": outlook.issued_at - OLD})
            await client.publish(topic, old.encode(), qos=1, retain=True)
    await _start_again(place)


async def _trading_waits(place: FaultRig, _: Disk) -> None:
    """Fail unless both processes of every gateway run, and ended no more often than they were killed."""
    for site in place.sites:
        said = await until_status(
            place, site, lambda said: all(one["alive"] for one in said["processes"].values()), "both processes run"
        )
        assert not any(one["restarts"] for one in said["processes"].values()), f"{site} ended by itself"
        assert "Traceback" not in place.log(site)


async def _start_again(place: FaultRig, change: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
    place.signal(signal.SIGKILL)
    for site in place.sites:
        await place.processes[site].process.wait()
        change_config(place, site, change)
    await asyncio.gather(*(place.start(site) for site in place.sites))


async def _trust_nobody(place: FaultRig, _: Disk) -> None:
    """Start every gateway again with issuers whose keys it was told to trust no more."""
    await _start_again(place, lambda content: content["commands"].update(trusted=[]))


async def _reboot(place: FaultRig, _: Disk) -> None:
    await asyncio.gather(*(place.reboot(site) for site in place.sites))


async def cut(place: FaultRig, _: Disk) -> None:
    place.cut()


async def fill(place: FaultRig, state: Disk) -> None:
    # In a thread: the wires to the devices are in this one, and must not wait for a disk.
    await asyncio.to_thread(state.fill, *place.pids())


async def _read_only(place: FaultRig, state: Disk) -> None:
    await asyncio.to_thread(state.turn_read_only, *place.pids())


async def _missed_the_disk(place: FaultRig, state: Disk) -> None:
    """Fail unless each outbox could not be written; without a disk of their own nobody could write that down."""
    if state.mounted:
        for site in place.sites:
            assert "outbox write failed" in place.log(site), f"{site} wrote its outbox all the same"


async def _distrust_the_clock(place: FaultRig, _: Disk) -> None:
    """Fail unless a gateway whose clock has stepped refuses orders."""
    with pytest.raises(AssertionError, match=r"refused: (clock_untrusted|too_old|from_the_future|expired)"):
        await place.order("charge", BatteryPower(power_w=100), issuer=AGGREGATOR, for_s=60.0)


def _step(by_s: float) -> Breaks:
    async def step(place: FaultRig, _: Disk) -> None:
        (place.hinder / "step").write_text(str(by_s))

    return step


async def _second_master(place: FaultRig, _: Disk) -> None:
    for column in COLUMNS:
        model, offset = _STORAGE_MODE if "battery" in column.name else _LIMIT_ENABLE
        await overwrite(place.wires[f"{column.site}/inverter"].device_port, model, offset, 0)


def _stepped(name: str, by_s: float, *, in_ci: bool = False) -> Failure:
    return Failure(
        name=f"clock steps {name}",
        breaks=_step(by_s),
        market=Promise.TO_THE_END,
        limit=Promise.TO_THE_END,
        proof=_distrust_the_clock,
        in_ci=in_ci,
    )


def _disk(name: str, breaks: Breaks, *, in_ci: bool = False) -> Failure:
    return Failure(
        name=name,
        breaks=breaks,
        market=Promise.TO_THE_END,
        limit=Promise.TO_THE_END,
        stateful=True,
        proof=_missed_the_disk,
        in_ci=in_ci,
    )


FAILURES = (
    Failure(
        name="gateway killed (kill -9)",
        breaks=kill,
        market=Promise.LETS_GO,
        limit=Promise.TO_THE_END,
        in_ci=True,
    ),
    Failure(name="gateway stopped (SIGSTOP)", breaks=stop, market=Promise.LETS_GO, limit=Promise.TO_THE_END),
    Failure(name="control task hangs", breaks=hang, market=Promise.LETS_GO, limit=Promise.TO_THE_END),
    Failure(
        name="a part fails",
        breaks=_a_part_fails,
        market=Promise.TO_THE_END,
        limit=Promise.TO_THE_END,
        proof=_the_parts_came_back,
        in_ci=True,
    ),
    Failure(name="broker gone", breaks=no_broker, market=Promise.TO_THE_END, limit=Promise.TO_THE_END),
    Failure(name="cloud gone", breaks=_no_cloud, market=Promise.TO_THE_END, limit=Promise.TO_THE_END, in_ci=True),
    Failure(
        name="outlook gone at a start",
        breaks=_no_outlook,
        market=Promise.LETS_GO,
        limit=Promise.TO_THE_END,
        proof=_trading_waits,
    ),
    Failure(
        name="outlook two hours old at a start",
        breaks=_old_outlook,
        market=Promise.LETS_GO,
        limit=Promise.TO_THE_END,
        proof=_trading_waits,
    ),
    Failure(
        name="issuers no longer trusted",
        breaks=_trust_nobody,
        market=Promise.LETS_GO,
        limit=Promise.LETS_GO,
        from_start=True,
    ),
    Failure(name="device reboots", breaks=_reboot, market=Promise.COMES_BACK, limit=Promise.COMES_BACK),
    Failure(name="bus cut", breaks=cut, market=Promise.LETS_GO, limit=Promise.TO_THE_END),
    _disk("disk full", fill, in_ci=True),
    _disk("disk read-only", _read_only),
    _stepped("+1 h", 3600.0),
    _stepped("-1 h", -3600.0),
    _stepped("+1 day", DAY_S, in_ci=True),
    _stepped("-1 day", -DAY_S),
    Failure(name="second master", breaks=_second_master, market=Promise.COMES_BACK, limit=Promise.COMES_BACK),
    Failure(
        name="gateway killed under a limit without an end",
        breaks=kill,
        market=Promise.LETS_GO,
        limit=Promise.HELD_LONG,
        speed=60.0,
        columns=tuple(column for column in COLUMNS if column.site == "limit"),
        sections={"limit": {"grid_limits": {"failsafe_export_w": LIMIT_W, "failsafe_s_min": 7200}}},
    ),
)
