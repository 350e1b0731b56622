"""Modbus engine: read plans beside other rules, CPU beside a bare pymodbus loop, a serial line, and wire faults.

    python -m benchmarks.bench_modbus [--json] [--requests N]

Beside pymodbus the devices are served by a process of their own; the serial line is a pseudo-terminal that takes the
time of a real line.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Iterable, Sequence
from math import inf
from multiprocessing.connection import Connection
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient

from contracts.clock import SystemClock
from edge.devices.catalogue import load_profile
from edge.devices.offline import plan_profile
from edge.devices.resolve import resolve
from edge.errors import DeviceRefused
from edge.modbus import unit as unit_module
from edge.modbus.bus import Bus
from edge.modbus.cost import CostModel, rtu_cost, tcp_cost
from edge.modbus.faults import NoReply
from edge.modbus.point import Access, DataType, LinkLimits, PollClass, RegisterPoint, Table
from edge.modbus.poller import Poller
from tests.support.modbus_faults import KINDS, Storm
from tests.support.modbus_server import Bank, Device, pty_device, tcp_device

PROFILES = (
    "sunspec_generic_int",
    "fronius_gen24_int",
    "solaredge",
    "huawei_sun2000",
    "sungrow_sh",
    "sma_tripower",
    "deye_sg0x_lp3",
    "eastron_sdm630",
    "victron_gx_system",
    "alfen_eve",
)
TELEGRAF_HOLE = 50  # inputs.modbus, optimization_max_register_fill.
VICTRON_HOLE = {"rtu": 7, "tcp": 31}  # dbus-modbus-client, pack_regs: a hole of no more bytes than a request.
DEVICES, POINTS, SECONDS, PERIOD_S = 20, 100, 4.0, 0.1
Spans = list[tuple[int, int]]


def intervals(points: Iterable[RegisterPoint], limits: LinkLimits) -> dict[Table, Spans]:
    """Return what one request must hold together, by table: a value with its factor where both fit."""
    found: dict[Table, Spans] = {}
    for point in points:
        spans = point.spans()
        hull = (min(start for start, _ in spans), max(end for _, end in spans))
        fits = allowed(point.table, *hull, limits)
        found.setdefault(point.table, []).extend([hull] if fits else spans)
    return {table: sorted(spans) for table, spans in found.items()}


def allowed(table: Table, start: int, end: int, limits: LinkLimits) -> bool:
    """Return whether one request may hold these addresses."""
    most = limits.max_bits if table.is_bits else limits.max_registers
    return (
        end - start <= most
        and not any(start < at < end for at in limits.barriers.get(table, ()))
        and not any(hole.table is table and start < hole.end and hole.start < end for hole in limits.forbidden)
    )


def optimum_s(spans: Spans, table: Table, limits: LinkLimits, cost: CostModel) -> float:
    """Return the least time, by a shortest path over every first and last address; written apart from the planner."""
    starts = sorted({start for start, _ in spans})
    ends = sorted({end for _, end in spans})
    done = {len(spans): 0.0}
    for first in range(len(spans) - 1, -1, -1):
        done[first] = inf
        for end in ends:
            start = spans[first][0]
            if end <= start or not allowed(table, start, end, limits):
                continue
            after = first
            while after < len(spans) and spans[after][1] <= end:
                after += 1
            if after > first:
                done[first] = min(done[first], cost.request_s(table, end - start) + done[after])
    assert starts[0] == spans[0][0], "the first request starts at the first address"
    return done[0]


def greedy(spans: Spans, table: Table, limits: LinkLimits, hole: int) -> Spans:
    """Return the requests of a rule that bridges every hole up to a fixed size."""
    requests: Spans = []
    for start, end in spans:
        if requests and start - requests[-1][1] <= hole:
            merged = (requests[-1][0], max(requests[-1][1], end))
            if allowed(table, *merged, limits):
                requests[-1] = merged
                continue
        requests.append((start, end))
    return requests


def plans() -> list[dict[str, object]]:
    """Return requests and milliseconds of one scan of ten profiles, by rule."""
    rows: list[dict[str, object]] = []
    for profile_id in PROFILES:
        profile = load_profile(profile_id)
        limits = profile.link.limits()
        readable = [point for point in resolve(profile).points.values() if point.access is not Access.WRITE]
        for line, cost in (("rtu", rtu_cost(baud=9600)), ("tcp", tcp_cost())):
            ours = plan_profile(profile, cost)
            tables = intervals(readable, limits)
            best_s = sum(optimum_s(spans, table, limits, cost) for table, spans in tables.items())
            row: dict[str, object] = {"profile": profile_id, "line": line}
            row["ours"] = {"requests": len(ours.blocks), "ms": round(ours.predicted_s * 1000, 1)}
            row["optimum_ms"] = round(best_s * 1000, 1)
            row["of_optimum"] = round(ours.predicted_s / best_s, 3)
            for rule, hole in (("telegraf", TELEGRAF_HOLE), ("victron", VICTRON_HOLE[line])):
                requests = [(table, *r) for table, spans in tables.items() for r in greedy(spans, table, limits, hole)]
                spent_s = sum(cost.request_s(table, end - start) for table, start, end in requests)
                row[rule] = {"requests": len(requests), "ms": round(spent_s * 1000, 1)}
            rows.append(row)
    return rows


def cpu_s() -> float:
    """Return the processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_mib() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def int_points(count: int) -> list[RegisterPoint]:
    """Return points that fill one request."""
    return [RegisterPoint(name=f"p{at}", address=at, poll_class=PollClass.CONTROL) for at in range(count)]


def serve(answer: Connection) -> None:
    """Serve 20 devices in this process and say on which ports."""

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            devices = [Device({1: Bank(holding=dict.fromkeys(range(POINTS), 1))}) for _ in range(DEVICES)]
            answer.send([await stack.enter_async_context(tcp_device(device)) for device in devices])
            await asyncio.Event().wait()

    asyncio.run(run())


async def overhead(ports: Sequence[int]) -> dict[str, float]:
    """Return CPU for each read of 100 points on 20 connections, ours with pace, health and ageing, and bare."""

    async def bare(port: int) -> int:
        client = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0)
        await client.connect()
        reads, due_s = 0, time.monotonic()
        while time.monotonic() < ends_s:
            await client.read_holding_registers(0, count=POINTS, device_id=1)
            reads += 1
            due_s += PERIOD_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        client.close()
        return reads

    before_s, ends_s = cpu_s(), time.monotonic() + SECONDS
    bare_reads = sum(await asyncio.gather(*(bare(port) for port in ports)))
    bare_s = (cpu_s() - before_s) / bare_reads
    before_mib = resident_mib()
    buses = [Bus(f"tcp://127.0.0.1:{port}") for port in ports]
    period_s = {PollClass.CONTROL: PERIOD_S}
    pollers = [Poller(bus, 1, int_points(POINTS), clock=SystemClock(), period_s=period_s) for bus in buses]
    tasks = [asyncio.create_task(poller.run(), name="poll") for poller in pollers]
    await asyncio.gather(*(poller.next_cycle() for poller in pollers))
    before_s, reads = cpu_s(), sum(bus.unit(1).counts.requests for bus in buses)
    await asyncio.sleep(SECONDS)
    ours_s = (cpu_s() - before_s) / (sum(bus.unit(1).counts.requests for bus in buses) - reads)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for bus in buses:
        bus.close()
    return {
        "bare_us": round(bare_s * 1e6, 1),
        "ours_us": round(ours_s * 1e6, 1),
        "ours_of_bare": round(ours_s / bare_s, 2),
        "cpu_percent_at_1_hz": round(ours_s * DEVICES * 100, 2),
        "added_mib": round(resident_mib() - before_mib, 1),
    }


async def serial_line(baud: int) -> float:
    """Return which share of what the line allows the bus uses for reads of 100 registers."""
    device = Device({1: Bank(holding=dict.fromkeys(range(POINTS), 1))})
    reads = 15
    async with pty_device(device, line_baud=baud, turnaround_s=0.03) as path, Bus(f"rtu://{path}?baud={baud}") as bus:
        await bus.read(1, Table.HOLDING, 0, POINTS)
        start_s = time.monotonic()
        for _ in range(reads):
            await bus.read(1, Table.HOLDING, 0, POINTS)
        each_s = (time.monotonic() - start_s) / reads
    return round(rtu_cost(baud=baud, char_bits=10).request_s(Table.HOLDING, POINTS) / each_s, 3)


async def storm(requests: int, *, seed: int = 1) -> dict[str, object]:
    """Return how many values were taken, and how many of them were wrong, while 5 % of the answers are spoiled."""
    unit_module.TIMEOUT_S_MIN, unit_module.TIMEOUT_S_MAX = 0.02, 0.04
    faults = Storm(seed=seed, share=0.05, late_s=(0.0, 0.06), kinds=KINDS)
    banks = {u: Bank(holding={at: (at * 7 + u * 1000) & 0xFFFF for at in range(300)}) for u in (1, 2, 3)}
    device = Device(banks, fault=faults)
    good = wrong = failed = 0
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        for at in range(requests):
            unit, address, count = 1 + at % 3, (at * 13) % 250, 1 + at % 5
            try:
                words = await bus.read(unit, Table.HOLDING, address, count)
            except (NoReply, DeviceRefused):
                failed += 1
                with contextlib.suppress(NoReply):
                    await asyncio.sleep(bus.retry_in_s(unit))
                continue
            good += 1
            wrong += words != tuple((a * 7 + unit * 1000) & 0xFFFF for a in range(address, address + count))
            if len(device.requests) > 10_000:
                device.requests.clear()
    return {"requests": requests, "good": good, "failed": failed, "wrong": wrong, "faults": dict(faults.counts)}


async def scale_cost() -> float:
    """Return microseconds to read and decode 50 scaled points, every one of them looked at."""
    device = Device({1: Bank(holding=dict.fromkeys(range(101), 1))})
    points = [
        RegisterPoint(name=f"p{at}", address=2 * at, count=2, data_type=DataType.INT32, scale_register=100)
        for at in range(50)
    ]
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        poller = Poller(bus, 1, points, clock=SystemClock())
        await poller.read(poller.points)
        start_s = cpu_s()
        for _ in range(300):
            await poller.read(poller.points)
    return round((cpu_s() - start_s) / 300 * 1e6, 1)


async def measure(requests: int) -> dict[str, object]:
    """Return every number."""
    ports, child = multiprocessing.get_context("spawn").Pipe(duplex=False)
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(child,), daemon=True)
    server.start()
    try:
        cpu = await overhead(await asyncio.to_thread(ports.recv))
    finally:
        server.terminate()
        await asyncio.to_thread(server.join)
    return {
        "plans": plans(),
        "cpu": cpu,
        "rtu_share_of_the_line": {str(baud): await serial_line(baud) for baud in (9600, 19200)},
        "storm": await storm(requests),
        "read_and_decode_50_us_with_the_device": await scale_cost(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--requests", type=int, default=20_000)
    arguments = parser.parse_args()
    numbers = asyncio.run(measure(arguments.requests))
    if arguments.json:
        json.dump(numbers, sys.stdout, indent=1)
        return
    for row in plans():
        print(*(f"{key}={value}" for key, value in row.items()))
    for key in ("cpu", "rtu_share_of_the_line", "storm", "read_and_decode_50_us_with_the_device"):
        print(key, numbers[key])


if __name__ == "__main__":
    main()
