"""What a process that reads devices costs, told by itself as one line of JSON. Imports nothing that would weigh.

python -m benchmarks.modbus_bare|modbus_ours LOOP PERIOD_S SECONDS PORT …
"""

import asyncio
import importlib
import json
import resource
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

POINTS = 100
SETTLE_S = 1.0
LOOPS = ("asyncio", "uvloop")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be read: so many registers of each port, once a period, for so long."""

    ports: tuple[int, ...]
    period_s: float
    seconds: float

    @property
    def whole_s(self) -> float:
        """Return how long reading goes on, until after the end of what is measured."""
        return SETTLE_S + self.seconds + self.period_s


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Processor time of one read, and the memory of the whole process."""

    cpu_us: float
    resident_mib: float


def cpu_s() -> float:
    """Return the processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_mib() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


async def spent(task: Task, reads: Callable[[], int]) -> Spent:
    """Wait while others read, and return what that cost."""
    await asyncio.sleep(SETTLE_S)
    before_s, before = cpu_s(), reads()
    await asyncio.sleep(task.seconds)
    return Spent(cpu_us=(cpu_s() - before_s) / (reads() - before) * 1e6, resident_mib=resident_mib())


def main(read: Callable[[Task], Coroutine[Any, Any, Spent]], arguments: Sequence[str]) -> None:
    """Read as told and print what it cost; the loop's module is loaded only where it is used."""
    loop, period_s, seconds, *ports = arguments
    task = Task(ports=tuple(map(int, ports)), period_s=float(period_s), seconds=float(seconds))
    factory = None if loop == LOOPS[0] else importlib.import_module(loop).new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        json.dump(asdict(runner.run(read(task))), sys.stdout)
