"""One device for a tool: open, read what is asked, write one value and put it back. Nothing runs in the background."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from contracts.clock import Clock, SystemClock
from contracts.spelling import meant
from edge.devices.canonical import derive, refined
from edge.devices.facts import NoMarker, learn_facts
from edge.devices.offline import Decoded, as_decoded, encode_point
from edge.devices.options import link_limits
from edge.devices.profile import Profile
from edge.devices.resolve import Resolved
from edge.devices.scan import framing_hint
from edge.errors import ConfigError, DeviceError, DeviceRefused, DeviceSilent
from edge.modbus.bus import Bus, open_patiently
from edge.modbus.encode import Write
from edge.modbus.faults import Fault, NoReply
from edge.modbus.learned import MUTE_AGAIN_S
from edge.modbus.plan import plan_reads
from edge.modbus.point import Access, Priority, Reading, RegisterPoint, Table, WordOrder
from edge.modbus.poller import FAILING, UNANSWERED_UNTIL_SPLIT, Poller
from edge.modbus.sunspec import read_model
from edge.modbus.url import Endpoint, parse_url

READ_BACK_TRIES = 5
READ_BACK_WAIT_S = 0.2
PUT_BACK_TRIES = 6  # With the waits and time-outs between them longer than a restart of most devices.
PUT_BACK_WAIT_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Written:
    """What came of writing one value: what the device held before, what it holds now."""

    point: str
    value: float | int | str
    before: Reading | None
    after: Reading | None
    equal: bool


@dataclass(frozen=True, kw_only=True)
class Lent:
    """What came of a value that was written for a while, and whether the old one is back."""

    written: Written
    restored: bool


class Session:
    """A conversation with one device."""

    def __init__(self, profile: Profile, bus: Bus, unit: int, resolved: Resolved, clock: Clock) -> None:
        self.profile = resolved.profile
        self.resolved = resolved
        self.bus = bus
        self.unit = unit
        self._poller = Poller(
            bus, unit, resolved.points.values(), clock=clock, limits=link_limits(profile, bus.endpoint)
        )

    def names(self, asked: Iterable[str] | None = None) -> list[str]:
        """Return the points to read: those asked for, by name or canonical name, or all that can be read.

        Raises:
            ConfigError: The device has no such point.
        """
        points = self.resolved.points
        readable = [name for name, point in points.items() if point.access is not Access.WRITE]
        if not asked:
            return readable
        names: list[str] = []
        for wanted in asked:
            if wanted in self.profile.derived:
                spec = self.profile.derived[wanted]
                names += [*spec.plus, *spec.minus]
                continue
            matching = [name for name in readable if wanted in (name, self.profile.points[name].canonical)]
            if not matching:
                known = (*readable, *(self.profile.points[name].canonical for name in readable))
                raise ConfigError(
                    f"the device has no readable point {wanted!r} of profile {self.profile.id}{meant(wanted, known)}"
                )
            names += matching
        return list(dict.fromkeys(names))

    async def read(self, asked: Iterable[str] | None = None) -> dict[str, Decoded]:
        """Return points as the device and as we mean them, and what derives from them.

        What the device refuses, or keeps silent about although it answers others, is left out; see ``missing``.

        Raises:
            ConfigError: The device has no such point.
            DeviceSilent: It answers nothing.
        """
        names = self.names(asked)
        self._poller.latest.clear()
        await self._read_what_answers(names)
        latest = {
            name: refined(self.resolved.points[name], reading)
            for name, reading in self._poller.latest.items()
            if name in names and name not in self.missing
        }
        answers: dict[str, Decoded] = {}
        for name, reading in latest.items():
            answers[name] = as_decoded(self.profile.points[name], reading)
        for name, spec in self.profile.derived.items():
            derived = derive(spec, latest)
            if derived is not None:
                answers[name] = as_decoded(spec, derived)
        return answers

    @property
    def missing(self) -> dict[str, bool]:
        """Return the points that the device does not tell, and whether it keeps silent about them or refuses them."""
        absent = self._poller.learned.missing
        return {
            name: absent[one] == MUTE_AGAIN_S
            for name, point in self.resolved.points.items()
            for start, end in point.spans()
            for one in absent
            if one.table is point.table and one.start < end and start < one.end
        }

    async def _read_what_answers(self, names: list[str]) -> None:
        """Read points; a block that is not answered, or fails, is asked for again and then in parts."""
        blocks = len(self._poller.plan().blocks)
        for _ in range(UNANSWERED_UNTIL_SPLIT * blocks + 1):
            try:
                await self._poller.read(names, priority=Priority.BACKGROUND)
                return
            except DeviceRefused as refusal:
                if refusal.exception_code not in FAILING:
                    return
            except NoReply as lost:
                if lost.fault is not Fault.TIMEOUT or not await self._is_there():
                    raise

    async def _is_there(self) -> bool:
        """Return whether the device answers anything: its first point, or one in the midst, or its last."""
        readable = [self.resolved.points[name] for name in self.names()]
        for point in (readable[0], readable[len(readable) // 2], readable[-1]):
            self.bus.unit(self.unit).retry_at_s = 0.0
            with contextlib.suppress(NoReply, DeviceRefused):
                await self.bus.read(self.unit, point.table, point.address, point.count, priority=Priority.BACKGROUND)
                return True
        return False

    async def write(self, name: str, value: float | int | str) -> Written:
        """Check, write, and read back until it is there or a second has passed.

        A lost answer to the write does not say whether it was done: what is read back says it.

        Raises:
            ConfigError: The device has no such point.
            ValueRefused: The value does not fit; nothing was written.
            DeviceRefused: The device answered with an exception.
            DeviceSilent: No answer; what it holds is unknown.
        """
        point = self._point(name)
        before = await self._held(point)
        after, equal = await self._send(point, await self._encoded(point, value))
        return Written(point=name, value=value, before=before, after=after, equal=equal)

    async def lend(
        self,
        name: str,
        value: float | int | str,
        *,
        lease_s: float,
        stopped: asyncio.Event,
        on_written: Callable[[Written], None] = lambda _: None,
    ) -> Lent:
        """Write a value and put the old words back after ``lease_s``, or as soon as ``stopped`` is set.

        They are put back several times where the device does not take them, or does not answer.

        Raises:
            ConfigError: The device has no such point, or does not tell what it holds; nothing was written.
            ValueRefused: The value does not fit; nothing was written.
            DeviceRefused: The device answered the write with an exception.
            DeviceSilent: No answer before anything was written.
        """
        point = self._point(name)
        before = await self._held(point)
        held = [] if before is None else self._words_of(point, before)
        if not held:
            raise ConfigError(f"{name} does not tell what it holds, so nothing could be put back; nothing was written")
        writes = await self._encoded(point, value)
        old = [replace(write, words=words) for write, words in zip(writes, held, strict=True)]
        after, equal = None, False
        with contextlib.suppress(
            DeviceSilent
        ):  # Whether it was written is unknown then: the old words go back at once.
            after, equal = await self._send(point, writes)
        written = Written(point=name, value=value, before=before, after=after, equal=equal)
        if after is not None:
            on_written(written)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(lease_s):
                    await stopped.wait()
        return Lent(written=written, restored=await self._put_back(point, old))

    async def _put_back(self, point: RegisterPoint, old: Sequence[Write]) -> bool:
        for attempt in range(PUT_BACK_TRIES):
            if attempt:
                await asyncio.sleep(PUT_BACK_WAIT_S)
            with contextlib.suppress(DeviceError):
                _, equal = await self._send(point, old)
                if equal:
                    return True
        return False

    async def _encoded(self, point: RegisterPoint, value: float | int | str) -> tuple[Write, ...]:
        return encode_point(self.profile, point, value, scale_factor=await self._factor(point))

    async def _send(self, point: RegisterPoint, writes: Sequence[Write]) -> tuple[Reading | None, bool]:
        """Write, and return what the point reads then and whether that is what was written."""
        for write in writes:
            try:
                await self.bus.write(self.unit, write.table, write.address, write.words, function=write.function)
            except NoReply:
                if point.access is Access.WRITE:
                    raise
        after: Reading | None = None
        for attempt in range(READ_BACK_TRIES):
            if attempt:
                await asyncio.sleep(READ_BACK_WAIT_S)
            after = await self._held(point)
            if after is not None and self._words_of(point, after) == [write.words for write in writes]:
                return after, True
        return after, False

    async def dump(self) -> dict[str, dict[str, int]]:
        """Return every register that the profile reads, and all models of a SunSpec device, by table and address."""
        tables: dict[str, dict[str, int]] = {"holding": {}, "input": {}, "coil": {}, "discrete": {}}
        sunspec = self.resolved.sunspec
        if sunspec is not None:
            marker = await self.bus.read(self.unit, Table.HOLDING, sunspec.base, 2, priority=Priority.BACKGROUND)
            _add(tables["holding"], sunspec.base, marker)
            for model in sunspec.models:
                image = await read_model(self.bus, self.unit, model)
                _add(tables["holding"], model.address, (model.model_id, model.length))
                tables["holding"].update({str(at): word for at, word in image.items()})
            if sunspec.unread is None:
                end = sunspec.models[-1].end if sunspec.models else sunspec.base + 2
                _add(tables["holding"], end, (0xFFFF, 0))
        for point in [self.resolved.points[name] for name in self.names()]:
            if str(point.address) in tables[point.table.value]:
                continue
            for block in plan_reads(
                [point], limits=link_limits(self.profile, self.bus.endpoint), cost=self.bus.cost(self.unit)
            ).blocks:
                with contextlib.suppress(DeviceRefused):
                    words = await self.bus.read(
                        self.unit, block.table, block.address, block.count, priority=Priority.BACKGROUND
                    )
                    _add(tables[block.table.value], block.address, words)
        return tables

    def _point(self, name: str) -> RegisterPoint:
        point = self.resolved.points.get(name)
        if point is None:
            known = self.resolved.points
            raise ConfigError(f"the device has no point {name!r} of profile {self.profile.id}{meant(name, known)}")
        return point

    async def _held(self, point: RegisterPoint) -> Reading | None:
        if point.access is Access.WRITE:
            return None
        return (await self._poller.read([point.name], priority=Priority.BACKGROUND)).get(point.name)

    async def _factor(self, point: RegisterPoint) -> int | None:
        if point.scale_register is None:
            return None
        return (await self.bus.read(self.unit, point.table, point.scale_register, 1, priority=Priority.BACKGROUND))[0]

    @staticmethod
    def _words_of(point: RegisterPoint, reading: Reading) -> list[tuple[int, ...]]:
        if not isinstance(reading.raw, int):
            return []
        bits = 16 * point.count if not point.table.is_bits else 1
        raw = reading.raw & ((1 << bits) - 1)
        words = tuple(raw >> shift & 0xFFFF for shift in range(16 * (point.count - 1), -1, -16))
        return [tuple(reversed(words)) if point.word_order is WordOrder.LITTLE else words]


def _add(table: dict[str, int], address: int, words: Iterable[int]) -> None:
    for at, word in enumerate(words, address):
        table[str(at)] = int(word)


@contextlib.asynccontextmanager
async def open_session(profile: Profile, url: str, *, clock: Clock | None = None) -> AsyncIterator[Session]:
    """Open a device, find its SunSpec models and its word order.

    Raises:
        ConfigError: The url cannot be used.
        DeviceSilent: It does not answer, or shows no SunSpec marker where the profile needs one.
    """
    endpoint = parse_url(url)
    async with open_patiently(endpoint) as bus:
        unit = bus.unit(endpoint.unit, limits=link_limits(profile, bus.endpoint))
        try:
            try:
                resolved = await _find(profile, bus, endpoint.unit)
            except NoReply as lost:
                if lost.fault is not Fault.TIMEOUT or endpoint.scheme.is_serial:
                    raise
                unit.retry_at_s = 0.0  # Once more on this connection: some devices are deaf while it is new.
                resolved = await _find(profile, bus, endpoint.unit)
        except NoReply as lost:
            raise DeviceSilent(f"{lost}{_usually(profile, endpoint)}{framing_hint(endpoint, lost)}") from lost
        yield Session(profile, bus, endpoint.unit, resolved, clock or SystemClock())


async def _find(profile: Profile, bus: Bus, unit: int) -> Resolved:
    """Return what the device is made of; whatever it answers proves that it is there."""
    try:
        facts = await learn_facts(profile, bus, unit)
    except NoMarker as error:
        raise DeviceSilent(str(error)) from error
    resolved = facts.resolve(profile)
    first = next((one for one in resolved.points.values() if one.access is not Access.WRITE), None)
    if facts.sunspec is None and first is not None:
        with contextlib.suppress(DeviceRefused):
            await bus.read(unit, first.table, first.address, first.count, priority=Priority.BACKGROUND)
    return resolved


def _usually(profile: Profile, endpoint: Endpoint) -> str:
    """Return where such a device usually answers, if that is elsewhere; empty where it is not."""
    link = profile.link
    elsewhere = []
    if link.unit is not None and link.unit != endpoint.unit:
        elsewhere.append(f"unit {link.unit}")
    if link.port is not None and not endpoint.scheme.is_serial and link.port != endpoint.port:
        elsewhere.append(f"port {link.port}")
    return f"; {profile.id} usually is {' of '.join(elsewhere)}" if elsewhere else ""
