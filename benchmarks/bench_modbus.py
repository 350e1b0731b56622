"""Modbus engine: read plans beside other rules, processor time and memory beside a bare pymodbus loop, a serial line.

    python -m benchmarks.bench_modbus [--json] [--period-s 1.0] [--rounds N]

Both rivals read the same 100 registers of the same 20 devices at the same pace, on asyncio's event loop and on uvloop,
on which the gateway runs, each in a process of its own that imports no more than it needs, the devices in another one.
The bare loop hands out words; ours adds checks, pace, health and readings that age, decoded when looked at. The serial
line is a pseudo-terminal that takes the time of a real line.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import multiprocessing
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import inf
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from benchmarks.modbus_spent import LOOPS, POINTS, Spent, cpu_s
from contracts.clock import SystemClock
from edge.devices.catalogue import load_profile
from edge.devices.offline import plan_profile
from edge.devices.resolve import resolve
from edge.modbus.bus import Bus
from edge.modbus.cost import CostModel, rtu_cost, tcp_cost
from edge.modbus.point import Access, DataType, LinkLimits, RegisterPoint, Table
from edge.modbus.poller import Poller
from tests.support.modbus.server import Bank, Device, pty_device, tcp_device

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
DEVICES, PERIOD_S = 20, 1.0
SECONDS, READS_MIN, ROUNDS = 4.0, 10, 2
RIVALS = ("bare", "ours")
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
            row |= {"requests": len(ours.blocks), "by telegraf": 0, "by victron": 0}
            row |= {"ms": round(ours.predicted_s * 1000, 1), "optimum ms": round(best_s * 1000, 1)}
            for rule, hole in (("telegraf", TELEGRAF_HOLE), ("victron", VICTRON_HOLE[line])):
                requests = [(table, *r) for table, spans in tables.items() for r in greedy(spans, table, limits, hole)]
                spent_s = sum(cost.request_s(table, end - start) for table, start, end in requests)
                row |= {f"by {rule}": len(requests), f"{rule} ms": round(spent_s * 1000, 1)}
            row["of the optimum"] = round(ours.predicted_s / best_s, 3)
            rows.append(row)
    return rows


def serve(answer: Connection) -> None:
    """Serve 20 devices in this process and say on which ports."""

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            devices = [Device({1: Bank(holding=dict.fromkeys(range(POINTS), 1))}) for _ in range(DEVICES)]
            for device in devices:
                device.requests = deque(maxlen=1)  # type: ignore[assignment]
            answer.send([await stack.enter_async_context(tcp_device(device)) for device in devices])
            await asyncio.Event().wait()

    asyncio.run(run())


def compete(rival: str, loop: str, ports: Sequence[int], *, period_s: float, seconds: float) -> Spent:
    """Let one rival read in a process of its own, which imports no more than it needs, and return what it took."""
    command = [sys.executable, "-m", f"benchmarks.modbus_{rival}", loop, str(period_s), str(seconds), *map(str, ports)]
    return Spent(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def in_process(target: Callable[..., None], *arguments: object) -> tuple[Any, BaseProcess]:
    """Start a process and return its first answer, and the process."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()  # So that a process that fails ends the wait for its answer.
    return ours.recv(), process


def overhead(*, period_s: float, rounds: int) -> dict[str, float]:
    """Return processor time for each read of 100 points on 20 connections, and memory, of both on both event loops.

    The rivals take turns and the least of the rounds counts, so that other work on the machine weighs on both alike.
    """
    ports, server = in_process(serve)
    seconds = max(SECONDS, READS_MIN * period_s)
    best: dict[tuple[str, str], Spent] = {}
    try:
        for _, loop, rival in itertools.product(range(rounds), LOOPS, RIVALS):
            found = compete(rival, loop, ports, period_s=period_s, seconds=seconds)
            known = best.get((loop, rival), found)
            best[loop, rival] = Spent(
                cpu_us=min(known.cpu_us, found.cpu_us), resident_mib=min(known.resident_mib, found.resident_mib)
            )
    finally:
        server.terminate()
        server.join()
    figures: dict[str, float] = {}
    for loop in LOOPS:
        bare, ours = (best[loop, rival] for rival in RIVALS)
        figures |= {
            f"{loop}, bare us a read": round(bare.cpu_us, 1),
            f"{loop}, ours us a read": round(ours.cpu_us, 1),
            f"{loop}, ours of bare": round(ours.cpu_us / bare.cpu_us, 2),
            f"{loop}, ours percent of a processor at 1 Hz": round(ours.cpu_us * DEVICES / 1e4, 2),
            f"{loop}, bare resident MiB": round(bare.resident_mib, 1),
            f"{loop}, ours resident MiB": round(ours.resident_mib, 1),
            f"{loop}, resident of bare": round(ours.resident_mib / bare.resident_mib, 2),
        }
    return figures


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


async def measure() -> dict[str, object]:
    """Return the numbers of a serial line and of decoding."""
    return {
        "rtu_share_of_the_line": {str(baud): await serial_line(baud) for baud in (9600, 19200)},
        "read_and_decode_50_us_with_the_device": await scale_cost(),
    }


def run() -> dict[str, float]:
    """Return every number by name."""
    figures = {
        f"{row['profile']}, {row['line']} | {what}": float(str(value))
        for row in plans()
        for what, value in row.items()
        if what not in ("profile", "line")
    }
    figures |= {f"cpu, {name}": value for name, value in overhead(period_s=PERIOD_S, rounds=ROUNDS).items()}
    return figures | {f"line share, {baud} baud": asyncio.run(serial_line(baud)) for baud in (9600, 19200)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--period-s", type=float, default=PERIOD_S)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    cpu = overhead(period_s=arguments.period_s, rounds=arguments.rounds)
    numbers = {"plans": plans(), "cpu": cpu, **asyncio.run(measure())}
    if arguments.json:
        json.dump(numbers, sys.stdout, indent=1)
        return
    for row in plans():
        print(*(f"{key}={value}" for key, value in row.items()))
    for key in ("cpu", "rtu_share_of_the_line", "read_and_decode_50_us_with_the_device"):
        print(key, numbers[key])


if __name__ == "__main__":
    main()
