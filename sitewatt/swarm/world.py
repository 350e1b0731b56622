"""A neighbourhood that runs while things go wrong: injects the drawn faults and starts again what ended."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from contracts.clock import ScaledClock, SteppedClock
from sitewatt.demo.processes import Processes, ProcessFailed, usage_of
from sitewatt.demo.run import start_broker, start_cloud, start_gateway
from sitewatt.swarm.disk import Disk
from sitewatt.swarm.doors import Doors
from sitewatt.swarm.liar import lie
from sitewatt.swarm.messages import repeat, throw_garbage
from sitewatt.swarm.plan import BROKER, CLOUD, Fault, FaultKind, Plan
from sitewatt.swarm.process_tree import descriptors, limit_files, signal_all, tree, waited_s

LOOK_S: Final = 0.25  # Real seconds between two looks at who still lives.
MEASURE_S: Final = 2.0
STARTS_MAX: Final = 3  # Tries of one start; a service manager goes on for ever.
REPEAT_LISTEN_S: Final = 3.0
COMES_BACK_S_MAX: Final = 150.0  # Site time from the supply's return to a part's.
STALL_S: Final = 0.25  # Real seconds that a part had no processor, between two looks, to count as standing still.


@dataclass(frozen=True, kw_only=True)
class Struck:
    """A fault as it was really done: site instants of its begin and of its end."""

    fault: Fault
    from_s: float
    to_s: float


@dataclass(frozen=True, kw_only=True)
class Stall:
    """This machine let a part stand still: for so many real seconds, until a site instant of the clock."""

    name: str
    at_s: float
    for_s: float


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a part took at an instant: all its processes together."""

    name: str
    at_s: float
    rss_mb: float
    descriptors: int
    files_bytes: int


@dataclass(kw_only=True)
class Chronicle:
    """What happened to the processes, in site seconds of the clock."""

    struck: list[Struck] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    failed_starts: list[str] = field(default_factory=list)
    restarts: int = 0
    thrown: int = 0  # Messages that a bad network or a hostile client put on the broker.
    usage: list[Usage] = field(default_factory=list)
    stalls: list[Stall] = field(default_factory=list)


def come_back(fault: Fault, parts: Sequence[str]) -> dict[str, float]:
    """Return after how many seconds each part is up again when the supply is: in any order, some minutes apart at most.

    A gateway may be there long before the broker that tells it of the hours to come.
    """
    generator = random.Random(fault.seed)
    return {name: generator.choice((0.0, 0.0, generator.uniform(0.0, COMES_BACK_S_MAX))) for name in parts}


def host_clock(folder: Path, gateway: str, clock: ScaledClock) -> SteppedClock:
    """Return the clock of a gateway's host, whose wall clock may step."""
    return SteppedClock(clock, folder / f"{gateway}.clock")


def set_by_service(host: SteppedClock) -> SteppedClock:
    """Note that the host's time service has set its clock now, and return it."""
    host.synchronised.touch()
    now_s = host.inner.now().timestamp() + 1.0
    os.utime(host.synchronised, (now_s, now_s))
    return host


class World:
    """The running parts of a plan."""

    def __init__(
        self,
        plan: Plan,
        *,
        folder: Path,
        processes: Processes,
        clock: ScaledClock,
        port: int,
        disk: Disk | None = None,
        doors: Doors | None = None,
    ) -> None:
        self.chronicle = Chronicle()
        self._disk = disk
        self._doors = doors
        self._plan = plan
        self._folder = folder
        self._processes = processes
        self._clock = clock
        self._port = port
        self._hosts = {name: asyncio.Lock() for name in plan.gateways}
        self._certificates = {name: asyncio.Lock() for name in plan.gateways}
        self._turn = {name: asyncio.Lock() for name in (BROKER, CLOUD, *plan.gateways)}

    async def strike(self, fault: Fault, *, begun_s: float) -> None:
        """Wait for a fault's time, do it and mend it; faults of one part come one after another."""
        await self._clock.sleep(begun_s + fault.at_s - self._clock.monotonic())
        from_s = self._clock.monotonic()
        match fault.kind:
            case FaultKind.DEVICE:  # The plant's own file says so; this is when.
                await self._clock.sleep(fault.for_s)
            case FaultKind.GARBAGE:
                self.chronicle.thrown += await throw_garbage(port=self._port, site=fault.target, seed=fault.seed)
            case FaultKind.REPEAT:
                real_s = fault.for_s / self._clock.speed
                self.chronicle.thrown += await repeat(
                    port=self._port, seed=fault.seed, listen_s=REPEAT_LISTEN_S, wait_s=real_s
                )
            case FaultKind.KILL | FaultKind.KILL_ONE | FaultKind.PAUSE:
                await self._fell(fault)
            case FaultKind.POWER_CUT:
                await self._cut_power(fault)
            case FaultKind.DISK:
                await self._take_the_disk(fault)
            case FaultKind.LIE:
                self.chronicle.thrown += await lie(
                    port=self._port, clock=self._clock, kind=fault.detail, seed=fault.seed
                )
            case FaultKind.CERTIFICATE:
                async with self._certificates[fault.target]:
                    assert self._doors is not None, "a plan with certificates has doors"
                    await self._doors.strike(fault.target, fault.detail, for_s=fault.for_s)
            case FaultKind.CLOCK:
                await self._step_the_clock(fault)
        self.chronicle.struck.append(Struck(fault=fault, from_s=from_s, to_s=self._clock.monotonic()))

    async def _fell(self, fault: Fault) -> None:
        async with self._turn[fault.target]:
            match fault.kind:
                case FaultKind.KILL_ONE if fault.target != BROKER:  # Nothing starts one half of a broker again.
                    await self._kill(fault, self._one_of(fault))
                case FaultKind.KILL | FaultKind.KILL_ONE:
                    # From below: a broker whose parent is gone is asked to end, and saves what it holds.
                    await self._kill(fault, tree(self._pid(fault.target))[::-1])
                case _:
                    await self._pause(fault)

    async def _cut_power(self, fault: Fault) -> None:
        """End all parts at once, with what was not synced; the devices and their meters have a supply of their own."""
        async with contextlib.AsyncExitStack() as turns:
            for turn in self._turn.values():
                await turns.enter_async_context(turn)
            pids = [pid for name in self._turn for pid in tree(self._pid(name))]
            signal_all(pids, signal.SIGSTOP)  # Nobody tells another of a write that will not have been.
            if self._disk is not None:
                self._disk.cut()
            signal_all(pids[::-1], signal.SIGKILL)
            for name in self._turn:
                await self._processes[name].process.wait()
            await self._clock.sleep(fault.for_s)
            if self._disk is not None:
                await asyncio.to_thread(self._disk.come_back)
            async with asyncio.TaskGroup() as starts:
                for name, after_s in come_back(fault, list(self._turn)).items():
                    starts.create_task(self._start_after(name, after_s), name=f"start {name}")

    async def _start_after(self, name: str, after_s: float) -> None:
        await self._clock.sleep(after_s)
        await self._start(name)

    async def _take_the_disk(self, fault: Fault) -> None:
        """Let every write of a gateway's processes to a file fail, whatever the disk is."""
        async with self._turn[fault.target]:
            pids = tree(self._pid(fault.target))
            limit_files(pids, bytes_max=0)
            try:
                await self._clock.sleep(fault.for_s)
            finally:
                limit_files({*pids, *tree(self._pid(fault.target))}, bytes_max=None)

    async def _step_the_clock(self, fault: Fault) -> None:
        """Let the clock of a gateway's host be off for a while, whatever becomes of its processes meanwhile."""
        async with self._hosts[fault.target]:
            host = host_clock(self._folder, fault.target, self._clock)
            host.file.write_text(fault.detail, encoding="ascii")
            await self._clock.sleep(fault.for_s)
            host.file.unlink()
            # A time service sets the clock and says so; a gateway may look between the two.
            await self._clock.sleep(1.0)
            set_by_service(host)

    async def supervise(self) -> None:
        """Start again whatever ended by itself, and say so, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            for child in self._processes.ended():
                if child.name in self._turn and not self._turn[child.name].locked():
                    self.chronicle.ended.append(f"{child.name} {child.end}")
                    async with self._turn[child.name]:
                        await self._start(child.name)
                elif child.name not in self._turn:
                    raise ProcessFailed(f"{child.name} {child.end}")

    async def measure(self) -> None:
        """Note memory, descriptors and files of every part, until cancelled."""
        while True:
            for name in self._turn:
                pids = tree(self._pid(name))
                told = [usage for pid in pids if (usage := usage_of(pid)) is not None]
                self.chronicle.usage.append(
                    Usage(
                        name=name,
                        at_s=self._clock.monotonic(),
                        rss_mb=sum(usage["rss_mb"] for usage in told),
                        descriptors=sum(descriptors(pid) for pid in pids),
                        files_bytes=await asyncio.to_thread(_bytes_of, self._files_of(name)),
                    )
                )
            await asyncio.sleep(MEASURE_S)

    async def keep_time(self) -> None:
        """Note when a thread that was ready to run had no processor, until cancelled: then nobody kept time."""
        before: dict[int, float] = {}
        while True:
            now: dict[int, float] = {}
            for child in self._processes:
                waited = waited_s(tree(child.process.pid)) if child.running else {}
                for_s = max((total_s - before.get(thread, 0.0) for thread, total_s in waited.items()), default=0.0)
                if for_s > STALL_S:
                    self.chronicle.stalls.append(Stall(name=child.name, at_s=self._clock.monotonic(), for_s=for_s))
                now |= waited
            before = now
            await asyncio.sleep(MEASURE_S)

    def _pid(self, name: str) -> int:
        return self._processes[name].process.pid

    def _one_of(self, fault: Fault) -> list[int]:
        pids = tree(self._pid(fault.target))
        return [pids[fault.seed % len(pids)]] if pids else []

    async def _kill(self, fault: Fault, pids: list[int]) -> None:
        child = self._processes[fault.target]
        signal_all(pids, signal.SIGKILL)
        if child.process.pid not in pids:  # Its own supervisor is to start it again.
            await self._clock.sleep(fault.for_s)
            return
        await child.process.wait()
        await self._clock.sleep(fault.for_s)
        await self._start(fault.target)

    async def _pause(self, fault: Fault) -> None:
        pids = tree(self._pid(fault.target))
        signal_all(pids, signal.SIGSTOP)
        try:
            await self._clock.sleep(fault.for_s)
        finally:
            signal_all(pids, signal.SIGCONT)

    async def _start(self, name: str) -> None:
        self.chronicle.restarts += 1
        for _ in range(STARTS_MAX):
            try:
                await self._start_once(name)
            except ProcessFailed as error:
                self.chronicle.failed_starts.append(str(error))
                if self._processes[name].running:
                    self._processes.kill(name)
                    await self._processes[name].process.wait()
            else:
                return
        raise ProcessFailed(f"{name} did not start {STARTS_MAX} times in a row: {self.chronicle.failed_starts[-1]}")

    async def _start_once(self, name: str) -> None:
        match name:
            case "broker":
                await start_broker(self._processes, self._folder, port=self._port)
            case "cloud":
                await start_cloud(self._processes, self._folder, clock=self._clock)
            case _:
                host = host_clock(self._folder, name, self._clock)
                await start_gateway(self._processes, self._folder, name, clock=host)

    def _files_of(self, name: str) -> Path:
        match name:
            case "broker" | "cloud":
                return self._folder / name
            case _:
                return self._folder / "state" / name


def _bytes_of(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(where) / name).lstat().st_size
            except OSError:
                continue
    return total
