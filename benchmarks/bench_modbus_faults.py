"""Modbus engine in trouble: wire faults at random, one silent device of ten, and the way back from each fault.

    python -m benchmarks.bench_modbus_faults [--json] [--requests 100000] [--runs 100]

Everything is seeded. Storms run on several connections at once, each with a seed of its own; their time-outs are
shorter than in the field, and the late answers with them, so that 100,000 requests take minutes rather than hours.
Answers come up to six time-outs late and out of turn, with transaction ids and without.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
from collections import Counter, deque
from collections.abc import Sequence

from contracts.clock import SystemClock
from edge.errors import DeviceRefused
from edge.modbus import bus as bus_module
from edge.modbus import unit as unit_module
from edge.modbus.bus import Bus
from edge.modbus.faults import NoReply
from edge.modbus.point import PollClass, RegisterPoint, Table
from edge.modbus.poller import Poller
from firmware_sim.fault_rules import FaultKind
from tests.support.modbus.faults import KINDS, Storm
from tests.support.modbus.recovery import HEALTHY_WITHIN_S, PASSING, Recovery, recover
from tests.support.modbus.server import Bank, Device, Request, Sending, honest, pty_device, tcp_device
from tests.support.modbus.wait import until

REQUESTS, RUNS = 20_000, 10
LANES = 16  # Connections of a storm.
SHARE = 0.05  # Of the answers that are spoiled.
STORM_TIMEOUT_S = (0.05, 0.1)
LATE_TIMEOUTS = 6
RUNS_AT_ONCE = 100
FAULT_S = (1.0, 12.0)
SILENT, PERIOD_S, WATCH_S = 10, 1.0, 40.0
KNOWN_AFTER = 4  # Failures after which a unit counts as silent, not as one that missed something.
BAUD = 9600


def value(unit: int, address: int) -> int:
    """Return what a register of the storm holds; no two that a request could confuse are equal."""
    return (address * 7 + unit * 1000) & 0xFFFF


async def lane(requests: int, *, scheme: str, seed: int) -> Counter[str]:
    """Return what came of so many reads on one connection."""
    kinds = KINDS if scheme == "tcp" else tuple(kind for kind in KINDS if kind != "wrong_transaction")
    late_s = (0.0, LATE_TIMEOUTS * STORM_TIMEOUT_S[0])
    faults = Storm(seed=seed, share=SHARE, late_s=late_s, kinds=kinds)
    banks = {unit: Bank(holding={at: value(unit, at) for at in range(300)}) for unit in (1, 2, 3)}
    device = Device(banks, is_rtu=scheme != "tcp", fault=faults)
    device.requests = deque(maxlen=1)  # type: ignore[assignment]
    counts: Counter[str] = Counter()
    async with tcp_device(device) as port, Bus(f"{scheme}://127.0.0.1:{port}", seed=seed) as bus:
        while counts["requests"] < requests:
            at = counts["requests"]
            counts["requests"] += 1
            unit, address, count = 1 + at % 3, (at * 13) % 250, 1 + at % 5
            try:
                words = await bus.read(unit, Table.HOLDING, address, count)
            except (NoReply, DeviceRefused):
                counts["failed"] += 1
                await asyncio.sleep(bus.retry_in_s(unit))
                continue
            counts["good"] += 1
            counts["wrong"] += words != tuple(value(unit, a) for a in range(address, address + count))
    counts["faults"] = faults.counts.total()
    return counts


async def storm(requests: int, *, scheme: str) -> dict[str, float]:
    """Return how many values were taken while answers are spoiled, and how many of them were wrong."""
    limits = unit_module.TIMEOUT_S_MIN, unit_module.TIMEOUT_S_MAX, bus_module.QUIET_S_MIN
    unit_module.TIMEOUT_S_MIN, unit_module.TIMEOUT_S_MAX = STORM_TIMEOUT_S
    bus_module.QUIET_S_MIN = STORM_TIMEOUT_S[0]
    try:
        each = -(-requests // LANES)
        lanes = await asyncio.gather(*(lane(each, scheme=scheme, seed=seed) for seed in range(LANES)))
    finally:
        unit_module.TIMEOUT_S_MIN, unit_module.TIMEOUT_S_MAX, bus_module.QUIET_S_MIN = limits
    total = sum(lanes, Counter[str]())
    return {key: float(total[key]) for key in ("requests", "faults", "good", "failed", "wrong")}


def mute(device: Device, request: Request, payload: bytes | None) -> Sending:
    """Let one unit say nothing."""
    return [] if request.unit == SILENT else honest(device, request, payload)


async def pace_beside_a_silent_one(buses: Sequence[Bus], units: Sequence[int]) -> tuple[float, float]:
    """Return how the nine and the silent tenth share: which of its cycles the slowest keeps, what the silent one takes.

    The first is a share of the planned cycles, the second of the time of its bus once it is known to be silent.
    """
    points = [RegisterPoint(name=f"p{at}", address=at, poll_class=PollClass.CONTROL) for at in range(10)]
    clock = SystemClock()
    pollers = [
        Poller(bus, unit, points, clock=clock, period_s={PollClass.CONTROL: PERIOD_S})
        for bus, unit in zip(buses, units, strict=True)
    ]
    tasks = [asyncio.create_task(poller.run()) for poller in pollers]
    await asyncio.gather(*(poller.next_cycle() for poller in pollers[: SILENT - 1]))
    before = [poller.cycles for poller in pollers]
    silent, loop = buses[-1].unit(SILENT), asyncio.get_running_loop()
    ends_s = loop.time() + WATCH_S
    await until(lambda: silent.failures >= KNOWN_AFTER)
    since_s, spent_s = loop.time(), silent.counts.bus_s
    await asyncio.sleep(ends_s - since_s)
    taken = (silent.counts.bus_s - spent_s) / (ends_s - since_s)
    done = [poller.cycles - start for poller, start in zip(pollers, before, strict=True)][: SILENT - 1]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return min(1.0, min(done) / (WATCH_S / PERIOD_S)), round(taken, 3)


async def one_silent_of_ten() -> dict[str, float]:
    """Return how ten devices fare: on connections of their own, behind one gateway, on one serial line."""
    units = range(1, SILENT + 1)
    bank = Bank(holding=dict.fromkeys(range(10), 1))
    async with contextlib.AsyncExitStack() as stack:
        own = []
        for unit in units:
            port = await stack.enter_async_context(tcp_device(Device({unit: bank}, fault=mute)))
            own.append(await stack.enter_async_context(Bus(f"tcp://127.0.0.1:{port}")))
        port = await stack.enter_async_context(tcp_device(Device(dict.fromkeys(units, bank), fault=mute)))
        gateway = await stack.enter_async_context(Bus(f"tcp://127.0.0.1:{port}"))
        line = Device(dict.fromkeys(units, bank), fault=mute)
        path = await stack.enter_async_context(pty_device(line, line_baud=BAUD, turnaround_s=0.005))
        serial = await stack.enter_async_context(Bus(f"rtu://{path}?baud={BAUD}"))
        shares = await asyncio.gather(
            pace_beside_a_silent_one(own, units),
            pace_beside_a_silent_one([gateway] * SILENT, units),
            pace_beside_a_silent_one([serial] * SILENT, units),
        )
    return {
        f"one silent of ten, {where} | {what}": share
        for where, both in zip(("tcp", "tcp, one gateway", f"rtu, {BAUD} baud"), shares, strict=True)
        for what, share in zip(("pace of nine", "bus time of it"), both, strict=True)
        if what == "pace of nine" or where != "tcp"
    }


async def recoveries(runs: int) -> dict[str, list[Recovery]]:
    """Return so many ways back from each fault, as many at a time as one processor reads at their pace."""
    several = asyncio.Semaphore(RUNS_AT_ONCE)

    async def one(kind: FaultKind, seed: int, fault_s: float) -> Recovery:
        async with several:
            return await recover(kind, seed=seed, fault_s=fault_s)

    async def each(kind: FaultKind) -> list[Recovery]:
        draw = random.Random(kind.value)
        return await asyncio.gather(*(one(kind, seed, draw.uniform(*FAULT_S)) for seed in range(runs)))

    found = await asyncio.gather(*(each(kind) for kind in PASSING))
    return {kind.value: outcomes for kind, outcomes in zip(PASSING, found, strict=True)}


async def measure(*, requests: int, runs: int) -> dict[str, float]:
    """Return every number by name."""
    figures: dict[str, float] = {}
    for scheme in ("tcp", "rtuovertcp"):
        numbers = await storm(requests, scheme=scheme)
        figures |= {f"storm, {scheme} | {name}": number for name, number in numbers.items()}
    figures |= await one_silent_of_ten()
    for kind, outcomes in (await recoveries(runs)).items():
        times_s = [outcome.recovery_s for outcome in outcomes if outcome.recovery_s is not None]
        in_time = [time_s for time_s in times_s if time_s <= HEALTHY_WITHIN_S]
        figures[f"recovery, {kind} | longest s"] = round(max(times_s, default=float("inf")), 2)
        figures[f"recovery, {kind} | within {HEALTHY_WITHIN_S:.0f} s"] = len(in_time) / len(outcomes)
        figures[f"recovery, {kind} | struck"] = float(sum(outcome.happened > 0 for outcome in outcomes))
        figures[f"recovery, {kind} | wrong values"] = float(sum(len(outcome.wrong) for outcome in outcomes))
    return figures


def run() -> dict[str, float]:
    """Return every number by name, of a run that takes minutes."""
    return asyncio.run(measure(requests=REQUESTS, runs=RUNS))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    figures = asyncio.run(measure(requests=arguments.requests, runs=arguments.runs))
    if arguments.json:
        json.dump(figures, sys.stdout, indent=1)
        return
    for name, number in figures.items():
        print(f"{name:<60} {number:>10,.2f}")


if __name__ == "__main__":
    main()
