"""Runs one plan from the first process to the verdict."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloud.errors import CloudError
from contracts.clock import Clock
from contracts.units import epoch_ms
from edge.errors import EdgeError
from sitewatt.demo import files
from sitewatt.demo.processes import Processes, ProcessFailed
from sitewatt.demo.run import drained, started
from sitewatt.swarm.disk import Disk
from sitewatt.swarm.doors import Doors
from sitewatt.swarm.evidence import Evidence, gather
from sitewatt.swarm.judges import CATCH_UP_S, LETS_GO_S, Finding, judge
from sitewatt.swarm.liar import register
from sitewatt.swarm.orders import OrderSender
from sitewatt.swarm.plan import FaultKind, Order, Ordered, Plan
from sitewatt.swarm.stations import Yard
from sitewatt.swarm.wires import faulty_plant
from sitewatt.swarm.world import MEASURE_S, Stall, World, host_clock, set_by_service

# Real seconds that this machine may let a part stand still before a promise of time can no longer be judged: never more
# than the shortest promise, which so many seconds of site time are.
STALL_S_MAX: Final = 1.0

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the judges found; ``evidence`` is ``None`` where the run broke off."""

    plan: Plan
    findings: tuple[Finding, ...]
    evidence: Evidence | None
    messages: int = 0

    @property
    def stall_s_max(self) -> float:
        """Return for how many real seconds a part may stand still before what is promised in time is in doubt."""
        return min(STALL_S_MAX, CATCH_UP_S / self.plan.speed)

    @property
    def failed(self) -> bool:
        """Return whether a promise was broken, for which the machine is not to blame."""
        return any(self.stall_of(finding) is None for finding in self.findings)

    @property
    def void(self) -> bool:
        """Return whether all that was found is of time, on a machine that stood still just then."""
        return bool(self.findings) and not self.failed

    def stall_of(self, finding: Finding) -> Stall | None:
        """Return the longest stall that may have broken this promise, ``None`` where it was the product."""
        if finding.at_s is None or self.evidence is None:
            return None
        from_s, until_s = finding.at_s - LETS_GO_S, finding.at_s + MEASURE_S * self.plan.speed
        about = [
            stall
            for stall in self.evidence.chronicle.stalls
            if from_s <= stall.at_s <= until_s and stall.for_s >= self.stall_s_max
        ]
        return max(about, key=lambda stall: stall.for_s, default=None)


async def run_plan(plan: Plan, *, keep: Path | None = None, say: Say = lambda _: None) -> Verdict:
    """Run a plan and judge it; what the product breaks is a finding, never an exception.

    Args:
        keep: Where configurations, outboxes, tables and logs stay; thrown away without it.
    """
    with _folder(keep) as folder, _disk_of(plan, folder, say) as disk:
        processes = Processes(files.logs(folder), logs_apart=True)  # A full disk is one of the faults.
        try:
            return await _run(plan, folder, processes, disk, say)
        except (ProcessFailed, CloudError, EdgeError) as error:
            return _broken_off(plan, error)
        except BaseExceptionGroup as group:
            failed, rest = group.split((ProcessFailed, CloudError, EdgeError))
            if failed is None or rest is not None:
                raise
            return _broken_off(plan, _leaf(failed))
        finally:
            await processes.stop_all()


async def _run(plan: Plan, folder: Path, processes: Processes, disk: Disk | None, say: Say) -> Verdict:
    sender, yard = OrderSender(plan), Yard(plan) if Yard.possible() else None
    doors = Doors(plan) if Doors.wanted(plan) else None

    def prepare(place: Path) -> None:
        sender.trust_in(place)
        register(place, plan)
        if yard is not None:
            yard.wire(place)
        if doors is not None:
            doors.wire(place)

    async with (
        started(
            plan.place,
            processes,
            folder,
            speed=plan.speed,
            say=say,
            plant=faulty_plant(plan),
            prepare=prepare,
            host=lambda name, clock: set_by_service(host_clock(folder, name, clock)),
        ) as (clock, watcher),
        contextlib.nullcontext() if doors is None else doors.standing(clock),
    ):
        port = int(processes["broker"].ready["port"])
        world = World(plan, folder=folder, processes=processes, clock=clock, port=port, disk=disk, doors=doors)
        sender.open(clock=clock, port=port)
        async with asyncio.TaskGroup() as always:
            running = [
                always.create_task(world.supervise(), name="supervise"),
                always.create_task(world.measure(), name="measure"),
                always.create_task(world.keep_time(), name="keep time"),
                always.create_task(sender.listen(), name="hear answers"),
            ]
            if yard is not None:
                running.append(always.create_task(yard.run(clock), name="a station calls"))
            given = [order for order in plan.orders if yard is not None or order.what is not Ordered.STATION]
            await _story(plan, world, sender, clock, orders=given)
            for task in running:
                task.cancel()
        messages, ended_ms = watcher.view.messages, epoch_ms(clock.now())
        await processes.stop(plan.gateways)
        await drained(folder, plan.place, say)
    await processes.stop(["cloud"])
    await processes.stop_all()
    evidence = gather(
        plan,
        folder,
        given=sender.given,
        chronicle=world.chronicle,
        ended_ms=ended_ms,
        stations=() if yard is None else yard.said,
        sessions=() if doors is None else doors.sessions,
    )
    return Verdict(plan=plan, findings=tuple(judge(evidence)), evidence=evidence, messages=messages)


async def _story(plan: Plan, world: World, sender: OrderSender, clock: Clock, *, orders: Sequence[Order]) -> None:
    """Do every fault and give every order at its time, and wait for the end of the span."""
    begun_s = clock.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for fault in plan.faults:
            from_s = 0.0 if fault.kind is FaultKind.DEVICE else begun_s
            tasks.create_task(world.strike(fault, begun_s=from_s), name=str(fault))
        for order in orders:
            tasks.create_task(sender.give(order, begun_s=begun_s), name=f"order {order.number}")
        tasks.create_task(clock.sleep(plan.span_s), name="until the end")


def _broken_off(plan: Plan, error: BaseException) -> Verdict:
    return Verdict(plan=plan, findings=(Finding(judge="run", what=f"broken off: {error}"),), evidence=None)


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@contextlib.contextmanager
def _disk_of(plan: Plan, folder: Path, say: Say) -> Iterator[Disk | None]:
    """Lay a disk under a run whose supply is cut."""
    if not any(fault.kind is FaultKind.POWER_CUT for fault in plan.faults):
        yield None
        return
    with Disk.under(folder) as disk:
        if disk is None:
            say("no file system can be mounted here: a power cut takes nothing that the kernel holds")
        yield disk


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.absolute()  # Paths in its files are beside the file.
        return
    with tempfile.TemporaryDirectory(prefix="sitewatt-swarm-", ignore_cleanup_errors=True) as name:
        yield Path(name)
