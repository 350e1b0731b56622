"""Keep the points of one unit fresh: each class at its own pace on the site's clock, on a bus that others share.

Cycles begin at whole periods after ``phase_s``: devices with the same phase are read at the same instant, so that their
values belong together and the process wakes once for all of them. A late cycle skips what it missed. A unit that does
not answer gets one small probe at a time; as soon as it answers, everything is due.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import floor, inf

from contracts.clock import Clock
from contracts.quality import Quality
from edge.errors import DeviceRefused
from edge.modbus.bus import Bus
from edge.modbus.codec import Image
from edge.modbus.cost import CostModel
from edge.modbus.faults import Fault, NoReply
from edge.modbus.latest import Latest, Sheet, Words
from edge.modbus.learned import MUTE_AGAIN_S, Learned
from edge.modbus.pdu import ACKNOWLEDGE, BUSY, DEVICE_FAILURE, ILLEGAL_ADDRESS
from edge.modbus.plan import Block, Plan, plan_reads
from edge.modbus.point import (
    PERIOD_S,
    Access,
    LinkLimits,
    PollClass,
    Priority,
    Range,
    Reading,
    RegisterPoint,
    Table,
)
from edge.modbus.split import SPLITTABLE, ReadSpan, read_apart
from edge.modbus.unavailable import Unavailable

STALE_PERIODS = 3  # A value is stale after so many periods, but not before STALE_S_MIN. Source: Frequenz SDK, 10 s.
STALE_S_MIN = 5.0
PLANS_MAX = 64  # Different sets of points that were read together.
COST_CHANGE = 1.5  # A plan is made anew when the fixed cost of a request has changed by this factor.
REPLAN_S_MIN = 60.0  # But not sooner than this after the last time: turnarounds below a millisecond jump about.
UNANSWERED_UNTIL_SPLIT = 2  # Times that a block was not answered although the unit answers others.
FAILING = frozenset({DEVICE_FAILURE, ACKNOWLEDGE, BUSY})  # May be said of one register as of the whole unit.
FAILED_UNTIL_SPLIT = 2  # Times in a row that a unit failed at a block before its parts are asked for.
FAILED_PARTS_MAX = 6  # Parts refused, and none answered, until it is the unit that fails.
FAILED_AGAIN = 30  # Failures until the parts of a block are asked for again where none was answered.
KEEP_S_MIN = 60.0  # Between two times that experience is handed on to be kept: flash wears out.
IDLE_S_MIN = 0.005  # Real seconds between two cycles, however fast the clock.
UNATTENDED_S = 0.2  # Real seconds between two looks at whether anybody attends again.


@dataclass(frozen=True, kw_only=True)
class Health:
    """How a unit does.

    Args:
        since_at: When it came or went, on the site's clock; None before the first answer.
        latency_s: Smoothed turnaround, real seconds.
        error_rate: Share of requests without a usable answer since the start.
    """

    online: bool
    since_at: datetime | None
    last_error: str | None
    latency_s: float | None
    error_rate: float
    requests: int
    cycles: int
    late_cycles: int


@dataclass
class _Cached:
    plan: Plan
    version: int
    fixed_s: float
    turnaround_s: float | None
    planned_s: float


class Poller:
    """Reads the points of one unit for as long as ``run`` runs.

    ``latest`` holds the newest reading of each point as it was read; ``reading`` and ``snapshot`` say what has aged.

    Args:
        phase_s: Cycles begin whole periods before or after this instant of the clock's ``monotonic``.
        on_learned: Called when experience has grown, not more often than every ``KEEP_S_MIN``.
        is_attended: Says whether to read on now.
    """

    def __init__(
        self,
        bus: Bus,
        unit: int,
        points: Iterable[RegisterPoint],
        *,
        clock: Clock,
        limits: LinkLimits | None = None,
        learned: Learned | None = None,
        period_s: Mapping[PollClass, float] | None = None,
        phase_s: float = 0.0,
        on_learned: Callable[[], None] = lambda: None,
        is_attended: Callable[[], bool] = lambda: True,
    ) -> None:
        self._is_attended = is_attended
        self.points = {point.name: point for point in points}
        self.latest = Latest(self.points)
        self.cycles = 0
        self.late_cycles = 0
        self._bus = bus
        self._clock = clock
        self._limits = limits or LinkLimits()
        self._unit = bus.unit(unit, limits=self._limits, learned=learned)
        self._period_s = {**PERIOD_S, **(period_s or {})}
        self._phase_s = phase_s
        self._unit.learned.want(
            Range(table=point.table, start=start, end=end)
            for point in self.points.values()
            for start, end in point.spans()
        )
        self._on_learned = on_learned
        self._kept_version = self._unit.learned.version
        self._kept_s = -inf
        self._missing = Unavailable(self._unit.learned)
        self._by_class: dict[PollClass, tuple[RegisterPoint, ...]] = {}
        for poll_class in PollClass:
            members = tuple(point for point in self.points.values() if point.poll_class is poll_class)
            if members:
                self._by_class[poll_class] = members
        self._stale_s = {
            name: max(STALE_PERIODS * self._period_s[point.poll_class], STALE_S_MIN)
            for name, point in self.points.items()
        }
        self._plans: dict[tuple[str, ...], _Cached] = {}
        self._due_s: dict[PollClass, float] = {}
        self._unanswered: dict[tuple[Table, int, int], int] = {}
        self._failed: dict[tuple[Table, int, int], int] = {}
        self._was_online = False
        self._since_at: datetime | None = None
        self._waiters: list[asyncio.Future[None]] = []

    async def run(self) -> None:
        """Poll until cancelled."""
        self._make_due()
        while True:
            retry_s = self._bus.retry_in_s(self._unit.number)
            if retry_s > 0:
                self._note_state()
                await asyncio.sleep(retry_s)
            if not self._is_attended():
                await asyncio.sleep(UNATTENDED_S)
                continue
            if not self._was_online and not await self._probe():
                await asyncio.sleep(max(self._bus.retry_in_s(self._unit.number), IDLE_S_MIN))
                continue
            now_s = self._clock.monotonic()
            due = tuple(poll_class for poll_class, due_s in self._due_s.items() if due_s <= now_s)
            await self._cycle(due)
            self._advance(due)
            if self._unit.learned.missing:
                await self._look_again()
            await self._rest()

    async def read(self, names: Iterable[str], *, priority: Priority = Priority.CONTROL) -> dict[str, Reading]:
        """Read some points at once, outside their pace, and return their readings.

        Raises:
            NoReply: No usable answer came for some of them.
            DeviceRefused: The device refused.
        """
        points = [self.points[name] for name in names]
        await self._read_plan(self._plan(points), priority)
        return {point.name: self.latest[point.name] for point in points if point.name in self.latest}

    async def next_cycle(self) -> None:
        """Wait until the cycle that is under way, or the next one, has ended."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def reading(self, name: str) -> Reading | None:
        """Return the newest reading of a point, stale where it has aged; None before the first."""
        reading = self.latest.get(name)
        if reading is None or reading.quality is not Quality.GOOD:
            return reading
        aged = self._clock.monotonic() - reading.monotonic_s > self._stale_s[name]
        return replace(reading, quality=Quality.STALE) if aged else reading

    def snapshot(self) -> dict[str, Reading]:
        """Return the newest reading of every point that has one, stale where it has aged."""
        now_s = self._clock.monotonic()
        stale_s = self._stale_s
        return {
            name: replace(reading, quality=Quality.STALE)
            if reading.quality is Quality.GOOD and now_s - reading.monotonic_s > stale_s[name]
            else reading
            for name, reading in self.latest.items()
        }

    def plan(self, classes: Iterable[PollClass] | None = None) -> Plan:
        """Return the requests that read the points of some classes (all by default) together."""
        wanted = set(self._by_class if classes is None else classes)
        return self._plan([point for point in self.points.values() if point.poll_class in wanted])

    @property
    def learned(self) -> Learned:
        """Return what experience taught about the unit."""
        return self._unit.learned

    @property
    def health(self) -> Health:
        """Return how the unit does now."""
        counts = self._unit.counts
        failed = sum(counts.faults.values())
        return Health(
            online=self._unit.is_online,
            since_at=self._since_at,
            last_error=self._unit.last_error,
            latency_s=self._unit.latency_s,
            error_rate=failed / (counts.requests or failed or 1),
            requests=counts.requests,
            cycles=self.cycles,
            late_cycles=self.late_cycles,
        )

    # The cycle.

    async def _cycle(self, due: tuple[PollClass, ...]) -> None:
        if not due:
            return
        with contextlib.suppress(NoReply, DeviceRefused):
            await self._read_plan(self._plan_classes(due), None)
        self.cycles += 1
        self._note_state()
        self._keep()
        if self._waiters:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters.clear()

    async def _probe(self) -> bool:
        """Ask for one point only; whatever comes proves that the unit is there."""
        point = next((point for point in self.points.values() if point.access is not Access.WRITE), None)
        if point is None:
            return True
        with contextlib.suppress(NoReply):
            with contextlib.suppress(DeviceRefused):
                await self._bus.read(
                    self._unit.number, point.table, point.address, point.count, priority=Priority.BACKGROUND
                )
            self._make_due()
            self._note_state()
            return True
        self._unanswered.clear()
        self._note_state()
        return False

    async def _read_plan(self, plan: Plan, priority: Priority | None) -> None:
        """Read the blocks one after another; a lost reply ends the cycle, a refusal only its block."""
        images: dict[str, dict[int, int]] = {}
        refused: DeviceRefused | None = None
        lain_s = 0.0
        for block in plan.blocks:
            try:
                found = await self._read_block(block, block.priority if priority is None else priority)
            except DeviceRefused as refusal:
                if refusal.exception_code in FAILING:
                    self._failed[block.span] = self._failed.get(block.span, 0) + 1
                refused = refusal
                continue
            except NoReply as lost:
                if lost.fault is Fault.TIMEOUT:
                    self._unanswered[block.span] = self._unanswered.get(block.span, 0) + 1
                raise
            if self._unanswered or self._failed:  # A device that is well is spared what the others need.
                self._unanswered.pop(block.span, None)
                self._failed.pop(block.span, None)
            self._take(block.names, found, lain_s=self._unit.lain_s)
            lain_s = max(lain_s, self._unit.lain_s)
            if plan.loose:
                images.setdefault(block.table, {}).update(found.image if isinstance(found, Words) else found)
        for point in plan.loose:
            self._take((point.name,), images.get(point.table, {}), lain_s=lain_s)
        if plan.unreadable:
            self._take([point.name for point in plan.unreadable], {})
        if refused is not None:
            raise refused

    async def _read_block(self, block: Block, priority: Priority) -> Words | Image:
        number = self._unit.number

        async def read(address: int, count: int) -> tuple[int, ...]:
            return await self._bus.read(number, block.table, address, count, priority=priority)

        if self._unanswered and self._unanswered.get(block.span, 0) >= UNANSWERED_UNTIL_SPLIT:
            return await self._read_mute(block, read)
        if self._failed and self._failed.get(block.span, 0) >= FAILED_UNTIL_SPLIT:
            return await self._read_failing(block, read)
        try:
            words = await read(block.address, block.count)
        except DeviceRefused as refusal:
            if refusal.exception_code not in SPLITTABLE:
                raise
            image = await read_apart(block, read=read, learned=self._unit.learned)
            self._note_missing(block)
            return image
        return Words(block.address, words)

    async def _read_mute(self, block: Block, read: ReadSpan) -> dict[int, int]:
        """Read a block to which a unit that is alive does not answer: some keep silent where others refuse.

        What is learned counts only if the unit answers afterwards; otherwise it is the unit that is gone.
        """
        unit = self._unit

        async def refusing(address: int, count: int) -> Sequence[int]:
            unit.retry_at_s = 0.0
            try:
                return await read(address, count)
            except NoReply as lost:
                if lost.fault is not Fault.TIMEOUT:
                    raise
                raise DeviceRefused(str(lost), exception_code=ILLEGAL_ADDRESS) from lost

        del self._unanswered[block.span]
        learned = self._learned_so_far()
        image = await read_apart(block, read=refusing, learned=learned, again_s=MUTE_AGAIN_S)
        unit.retry_at_s = 0.0
        if await self._probe():
            unit.learned.adopt(learned)
            self._note_missing(block)
        return image

    async def _read_failing(self, block: Block, read: ReadSpan) -> dict[int, int]:
        """Read a block that a unit answers with exception 4, 5 or 6: some say so of a single register.

        What is learned counts only where some of the block was answered; otherwise it is the unit that fails.
        """
        refused, answered = 0, False

        async def refusing(address: int, count: int) -> Sequence[int]:
            nonlocal refused, answered
            try:
                words = await read(address, count)
            except DeviceRefused as refusal:
                refused += 1
                if refusal.exception_code not in FAILING or (refused == FAILED_PARTS_MAX and not answered):
                    raise
                raise DeviceRefused(str(refusal), exception_code=ILLEGAL_ADDRESS) from refusal
            answered = True
            return words

        self._failed[block.span] = -FAILED_AGAIN
        learned = self._learned_so_far()
        image = await read_apart(block, read=refusing, learned=learned)
        if not image:
            raise DeviceRefused(self._unit.last_error or "", exception_code=DEVICE_FAILURE)
        self._unit.learned.adopt(learned)
        self._note_missing(block)
        return image

    def _learned_so_far(self) -> Learned:
        """Return a copy of what was learned, for what may prove to be nothing."""
        learned = Learned.from_dict(self._unit.learned.as_dict())
        learned.want(self._unit.learned.wanted)
        return learned

    async def _look_again(self) -> None:
        """Ask for something that is missing; where it is back, all is read anew."""
        wanted = self._missing.due(self._clock.monotonic())
        if wanted is None:
            return
        count = min(wanted.end - wanted.start, self._limits.max_registers)
        with contextlib.suppress(NoReply, DeviceRefused):
            await self._bus.read(self._unit.number, wanted.table, wanted.start, count, priority=Priority.BACKGROUND)
            self.learned.found(wanted)
            self._make_due()

    def _note_missing(self, block: Block) -> None:
        self._missing.note(block, had=self._had, now_s=self._clock.monotonic())

    def _had(self, name: str) -> bool:
        before = self.latest.get(name)
        return before is not None and before.quality is Quality.GOOD

    def _keep(self) -> None:
        """Hand on what was learned since it was last kept."""
        version, now_s = self._unit.learned.version, self._clock.monotonic()
        if version != self._kept_version and now_s - self._kept_s >= KEEP_S_MIN:
            self._kept_version, self._kept_s = version, now_s
            self._on_learned()

    def _take(self, names: Sequence[str], found: Words | Image, *, lain_s: float = 0.0) -> None:
        """Keep what was read; an answer that lay unread is as old as that (real seconds)."""
        now, now_s = self._clock.now(), self._clock.monotonic()
        if lain_s:
            aged_s = lain_s * self._clock.speed
            now, now_s = now - timedelta(seconds=aged_s), now_s - aged_s
        sheet = Sheet(found, source_at=now, monotonic_s=now_s)
        self.latest.take(names, sheet)

    def _plan_classes(self, due: tuple[PollClass, ...]) -> Plan:
        key = ("by class", *due)
        cached = self._plans.get(key)
        if cached is not None and self._is_current(cached):
            return cached.plan
        return self._plan_anew(key, [point for poll_class in due for point in self._by_class[poll_class]])

    def _plan(self, points: list[RegisterPoint]) -> Plan:
        key = ("by name", *(point.name for point in points))
        cached = self._plans.get(key)
        return cached.plan if cached is not None and self._is_current(cached) else self._plan_anew(key, points)

    def _plan_anew(self, key: tuple[str, ...], points: list[RegisterPoint]) -> Plan:
        learned = self._unit.learned
        cost = self._bus.cost(self._unit.number)
        plan = plan_reads(points, limits=learned.limits(self._limits), cost=cost)
        if len(self._plans) >= PLANS_MAX:
            self._plans.clear()
        self._plans[key] = _Cached(
            plan=plan,
            version=learned.version,
            fixed_s=cost.fixed_s,
            turnaround_s=learned.turnaround_s,
            planned_s=self._clock.monotonic(),
        )
        return plan

    def _is_current(self, cached: _Cached) -> bool:
        """Return whether nothing was learned that would change a plan."""
        learned = self._unit.learned
        if cached.version != learned.version:
            return False
        if cached.turnaround_s == learned.turnaround_s:
            return True
        now_s = self._clock.monotonic()
        if cached.turnaround_s is not None and now_s - cached.planned_s < REPLAN_S_MIN:
            return True
        if not self._is_like(cached.fixed_s, self._bus.cost(self._unit.number)):
            return False
        cached.turnaround_s, cached.planned_s = learned.turnaround_s, now_s
        return True

    def _is_like(self, planned_s: float, cost: CostModel) -> bool:
        """Return whether a plan for that fixed cost of a request is still good.

        It is where the cost has changed little, and where both are so high that bridging always pays.
        """
        always_bridged_s = 2 * self._limits.max_registers * cost.byte_s
        if min(planned_s, cost.fixed_s) > always_bridged_s:
            return True
        return 1 / COST_CHANGE < cost.fixed_s / planned_s < COST_CHANGE

    # The pace.

    def _make_due(self) -> None:
        """Let every class be due now, and be due again at the next whole period."""
        since_s = self._clock.monotonic() - self._phase_s
        for poll_class in self._by_class:
            period_s = self._period_s[poll_class]
            self._due_s[poll_class] = self._phase_s + floor(since_s / period_s) * period_s

    def _advance(self, due: tuple[PollClass, ...]) -> None:
        now_s = self._clock.monotonic()
        for poll_class in due:
            period_s = self._period_s[poll_class]
            missed = max(0, floor((now_s - self._due_s[poll_class]) / period_s))
            if missed:
                self.late_cycles += 1
            self._due_s[poll_class] += (missed + 1) * period_s

    async def _rest(self) -> None:
        wait_s = min(self._due_s.values(), default=1.0) - self._clock.monotonic()
        if wait_s > 0:
            await self._clock.sleep(wait_s)
        else:
            await asyncio.sleep(IDLE_S_MIN)

    def _note_state(self) -> None:
        if self._unit.is_online != self._was_online:
            self._was_online = self._unit.is_online
            self._since_at = self._clock.now()
