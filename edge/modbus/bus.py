"""One connection per host and port, one master per serial line, shared by every unit behind it.

Requests take turns (``turns.py``). An answer is checked on the wire (``wire.py``). What the bus adds is when to speak:
the silences that the line and the device need, the quiet after a lost reply, and when to open the connection again.
All its times are real seconds: the bus does not run faster in time-lapse.
"""

import asyncio
import random
from collections.abc import Sequence
from types import TracebackType

from edge.errors import DeviceRefused, ValueRefused
from edge.modbus.connect_pause import ConnectPause
from edge.modbus.cost import CostModel, cost_of, silence_s
from edge.modbus.encode import WRITE_COIL, WRITE_COILS, WRITE_REGISTER, WRITE_REGISTERS
from edge.modbus.faults import Fault, NoReply
from edge.modbus.late_replies import LateReplies, wider_reads
from edge.modbus.learned import Learned
from edge.modbus.pdu import (
    ACKNOWLEDGE,
    BUSY,
    ILLEGAL_ADDRESS,
    ILLEGAL_VALUE,
    READ_FUNCTION,
    read_reply,
    read_reply_bytes,
    read_request,
    read_values,
    read_wanted,
    write_reply,
    write_request,
)
from edge.modbus.point import LinkLimits, Priority, Table
from edge.modbus.scheduler import Scheduler
from edge.modbus.transport import open_wire
from edge.modbus.unit import RTU_TIMEOUT_S_START, TCP_TIMEOUT_S_START, Unit
from edge.modbus.url import Endpoint, parse_url
from edge.modbus.wire import Wire

RECONNECT_S_START = 0.5
RECONNECT_S_MAX = 6.0  # With the connect timeout below 10 s, the time within which good data must flow again.
RECONNECT_JITTER = 0.2
TIMEOUTS_UNTIL_CLOSE = 2  # In a row, of whatever unit: a connection that is half open answers nobody.
SERIAL_TIMEOUTS_UNTIL_CLOSE = 10  # A port that is opened again loses nothing, but seldom helps.
BUSY_WAIT_S = 0.1  # Source: Telegraf, inputs.modbus.
BUSY_TRIES_MAX = 3
RTU_EXTRA_SILENCE_S = 0.002  # Beside the 3.5 characters; adapters deliver late, so the line was silent longer.
RTU_UNIT_SWITCH_S = 0.0
QUIET_S_MIN = 0.2  # After a lost reply on a line without transaction ids.
PROBE_QUIET_S = 0.1  # After a probe of a unit that has been silent for long; others wait for the line.
WAKE_S = 0.1  # Between the frame that wakes a device and the request itself; an answer to the first is dropped.
REFUSED_WIDER_MAX = 2  # Wider reads that a device may refuse, one at either end, before it is waited for.
SILENCES_MAX = 1000  # Where somebody asks who is there, silence is no reason to open the connection anew.
_TABLE = {function: table for table, function in READ_FUNCTION.items()}
_WRITES = frozenset({WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS})


class Bus:
    """The connection to everything behind one URL.

    Reads are repeated once after a lost reply; writes never, because a write whose reply was lost may have been done.

    Args:
        read_only: Whether every write is refused before anything is sent: the last gate before the wire of a monitor.
        timeouts_until_close: In a row, before the connection is opened anew; by default what suits its kind.
    """

    def __init__(
        self,
        url: str | Endpoint,
        *,
        seed: int | None = None,
        read_only: bool = False,
        timeouts_until_close: int | None = None,
    ) -> None:
        self.read_only = read_only
        self.endpoint = parse_url(url) if isinstance(url, str) else url
        self.connects = 0
        self._random = random.Random(seed)
        self._scheduler = Scheduler()
        self._units: dict[int, Unit] = {}
        self._wire: Wire | None = None
        self._closed = False
        self._connect_failures = 0
        self._connect_at_s = 0.0
        self._connect_error = ""
        self._timeouts = 0
        self._speak_at_s = 0.0
        self._last_unit: int | None = None
        self._late_replies = LateReplies()
        self._has_ids = self.endpoint.scheme.has_transaction_ids
        baud = self.endpoint.wire_baud
        serial = self.endpoint.scheme.is_serial
        usual = SERIAL_TIMEOUTS_UNTIL_CLOSE if serial else TIMEOUTS_UNTIL_CLOSE
        self._timeouts_until_close = usual if timeouts_until_close is None else timeouts_until_close
        self._pause = ConnectPause()
        self._char_s = self.endpoint.char_bits / baud if baud else 0.0
        self._silence_s = 0.0
        if not self._has_ids:
            line_s = silence_s(baud, char_bits=self.endpoint.char_bits) if baud else 0.0
            self._silence_s = line_s + RTU_EXTRA_SILENCE_S

    async def __aenter__(self) -> "Bus":
        """Return the bus; the connection opens with the first request."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection for good."""
        self._closed = True
        self._drop_wire()

    def unit(self, number: int, *, limits: LinkLimits | None = None, learned: Learned | None = None) -> Unit:
        """Return the state of a unit; limits and experience are taken over where given."""
        unit = self._units.get(number)
        if unit is None:
            start_s = TCP_TIMEOUT_S_START if self.endpoint.wire_baud is None else RTU_TIMEOUT_S_START
            unit = Unit(number, limits=limits or LinkLimits(), learned=learned or Learned(), timeout_s_start=start_s)
            self._units[number] = unit
        else:
            unit.limits = limits or unit.limits
            unit.learned = learned or unit.learned
        return unit

    def cost(self, number: int) -> CostModel:
        """Return what requests to a unit cost here, by what has been learned about it."""
        unit = self.unit(number)
        return cost_of(self.endpoint, turnaround_s=unit.learned.turnaround_s, min_gap_s=unit.gap_s)

    def retry_in_s(self, number: int) -> float:
        """Return after how many real seconds a request to the unit may be sent; 0 when now."""
        return max(0.0, max(self.unit(number).retry_at_s, self._connect_at_s) - asyncio.get_running_loop().time())

    async def read(
        self,
        unit: int,
        table: Table,
        address: int,
        count: int,
        *,
        priority: Priority = Priority.LIVE,
        tries_while_busy: int = BUSY_TRIES_MAX + 1,
    ) -> tuple[int, ...]:
        """Return the words (or bits) of adjacent addresses.

        Args:
            tries_while_busy: How often a device is asked that says it is busy, at least once.

        Raises:
            NoReply: No usable answer came; nothing may be concluded about the registers.
            DeviceRefused: The device answered with an exception.
        """
        payload = read_request(table, address, count)
        reply_bytes = read_reply_bytes(table, count)
        for left in range(tries_while_busy - 1, -1, -1):
            try:
                reply = await self._ask_twice(unit, payload, reply_bytes, priority)
            except DeviceRefused as refusal:
                if refusal.exception_code not in (ACKNOWLEDGE, BUSY) or not left:
                    raise
                await asyncio.sleep(BUSY_WAIT_S)
                continue
            values = read_values(table, count, reply)
            if values is None:
                raise NoReply(f"unit {unit} answered {count} values with another byte count", fault=Fault.LENGTH)
            return values
        raise AssertionError("the last try returns or raises")

    async def write(
        self,
        unit: int,
        table: Table,
        address: int,
        words: Sequence[int],
        *,
        function: int | None = None,
        priority: Priority = Priority.WRITE,
    ) -> None:
        """Set adjacent registers or coils, once.

        Raises:
            NoReply: Whether it was done is unknown; read back.
            DeviceRefused: The device answered with an exception.
            ValueRefused: The bus is read-only; nothing was sent.
        """
        if self.read_only:
            raise ValueRefused(f"unit {unit} on {self.endpoint.bus}: a monitor writes nothing", code="read_only")
        if function is None:
            single, several = (WRITE_COIL, WRITE_COILS) if table is Table.COIL else (WRITE_REGISTER, WRITE_REGISTERS)
            function = single if len(words) == 1 else several
        payload = write_request(function, address, words)
        for busy_tries in range(BUSY_TRIES_MAX + 1):
            try:
                await self._ask(unit, payload, len(write_reply(payload)), priority)
            except DeviceRefused as refusal:
                if refusal.exception_code != BUSY or busy_tries == BUSY_TRIES_MAX:
                    raise
                await asyncio.sleep(BUSY_WAIT_S)
                continue
            return

    async def _ask_twice(self, number: int, payload: bytes, reply_bytes: int, priority: Priority) -> bytes:
        """Ask, and once more where the reply was lost and the unit had been there."""
        was_online = self.unit(number).failures == 0
        try:
            return await self._ask(number, payload, reply_bytes, priority)
        except NoReply as lost:
            if not was_online or lost.fault in (Fault.UNCONNECTED, Fault.WAITING):
                raise
        return await self._ask(number, payload, reply_bytes, priority)

    async def _ask(self, number: int, payload: bytes, reply_bytes: int, priority: Priority) -> bytes:
        """Take a turn on the bus, and one request with it."""
        unit = self.unit(number)
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        if unit.retry_at_s > now_s:
            wait_s = unit.retry_at_s - now_s
            message = f"unit {number} on {self.endpoint.bus} is silent, next probe in {wait_s:.1f} s: {unit.last_error}"
            raise NoReply(message, fault=Fault.WAITING)
        while True:
            await self._scheduler.take(number, priority)
            try:
                wire = self._wire
                if wire is None or not wire.is_open:
                    wire = await self._connect(unit)
                await self._wait_to_speak(unit)
                if self._pause.was_too_long(wire):
                    continue
                until_s = self._late_replies.until_s(number, payload[0], reply_bytes, now_s=loop.time())
                if until_s is None or payload[0] not in _TABLE:
                    return await self._exchange(wire, unit, payload, reply_bytes)
                wider = await self._read_wider(wire, unit, payload)
                if wider is not None:
                    return wider
            finally:
                self._scheduler.give_back()
            await asyncio.sleep(max(0.0, until_s - loop.time()))

    async def _read_wider(self, wire: Wire, unit: Unit, payload: bytes) -> bytes | None:
        """Read what is wanted and a neighbour, and return the answer as if only the wanted had been asked for.

        None where no such read is allowed, or the device refuses it at both ends.
        """
        function, address, count = read_wanted(payload)
        table = _TABLE[function]
        refused = 0
        for start, wide in wider_reads(table, address, count, unit.learned.limits(unit.limits)):
            reply_bytes = read_reply_bytes(table, wide)
            now_s = asyncio.get_running_loop().time()
            if self._late_replies.until_s(unit.number, function, reply_bytes, now_s=now_s) is not None:
                continue
            try:
                reply = await self._exchange(wire, unit, read_request(table, start, wide), reply_bytes)
            except DeviceRefused as refusal:
                refused += 1
                if refusal.exception_code not in (ILLEGAL_ADDRESS, ILLEGAL_VALUE):
                    raise
                if refused == REFUSED_WIDER_MAX:
                    return None
                await self._wait_to_speak(unit)
                continue
            values = read_values(table, wide, reply)
            if values is None:
                raise NoReply(f"unit {unit.number} answered {wide} values with another byte count", fault=Fault.LENGTH)
            return read_reply(table, values[address - start : address - start + count])
        return None

    async def _exchange(self, wire: Wire, unit: Unit, payload: bytes, reply_bytes: int) -> bytes:
        """Send one request and take note of what came of it."""
        loop = asyncio.get_running_loop()
        if unit.limits.wake_up:
            wire.wake(unit=unit.number, payload=payload)
            await asyncio.sleep(WAKE_S)
        wire_s = (len(payload) + reply_bytes + 6) * self._char_s
        timeout_s = unit.timeout_s(wire_s=wire_s, is_shared=self._is_shared(unit))
        started_s = loop.time()
        unit.counts.requests += 1
        try:
            reply = await wire.request(
                unit=unit.number,
                payload=payload,
                reply_bytes=reply_bytes,
                timeout_s=timeout_s,
                expected=write_reply(payload) if payload[0] in _WRITES else None,
            )
        except DeviceRefused as refusal:
            unit.counts.exceptions += 1
            self._answered(wire, unit, payload, started_s=started_s, wire_s=wire_s, timeout_s=timeout_s)
            unit.last_error = str(refusal)
            raise
        except NoReply as lost:
            self._lost(unit, payload, reply_bytes, started_s=started_s, timeout_s=timeout_s, lost=lost)
            raise
        except asyncio.CancelledError:
            self._quarantine(unit, payload, reply_bytes, timeout_s)
            raise
        unit.counts.good += 1
        self._answered(wire, unit, payload, started_s=started_s, wire_s=wire_s, timeout_s=timeout_s)
        return reply

    def _answered(
        self, wire: Wire, unit: Unit, payload: bytes, *, started_s: float, wire_s: float, timeout_s: float
    ) -> None:
        now_s = asyncio.get_running_loop().time()
        self._timeouts = 0
        self._connect_failures = 0
        unit.answered(now_s=now_s, latency_s=now_s - started_s, wire_s=wire_s, timeout_s=timeout_s)
        unit.counts.bus_s += now_s - started_s
        pause_s = max(self._silence_s, unit.limits.delay_after_write_s if payload[0] in _WRITES else 0.0)
        self._speak_at_s = now_s + pause_s
        if wire.late_latency_s is not None:
            unit.late(wire.late_latency_s)
            wire.late_latency_s = None

    def _lost(
        self, unit: Unit, payload: bytes, reply_bytes: int, *, started_s: float, timeout_s: float, lost: NoReply
    ) -> None:
        now_s = asyncio.get_running_loop().time()
        was_online = unit.is_online
        if not self._has_ids:
            self._quarantine(unit, payload, reply_bytes, timeout_s, is_online=was_online)
        cost_s = now_s - started_s + max(0.0, self._speak_at_s - now_s)
        unit.counts.bus_s += cost_s
        unit.failed(now_s=now_s, cost_s=cost_s, is_shared=self._is_shared(unit), fault=lost.fault, message=str(lost))
        if lost.fault is Fault.TIMEOUT:
            self._timeouts += 1
        if (
            self._timeouts >= self._timeouts_until_close
            or lost.fault is Fault.LOST
            or (self._has_ids and lost.fault in (Fault.MISMATCH, Fault.LENGTH, Fault.FRAMING))
        ):
            self._drop_wire()

    def _quarantine(
        self, unit: Unit, payload: bytes, reply_bytes: int, timeout_s: float, *, is_online: bool = True
    ) -> None:
        """Keep quiet while a lost reply may still come, where nothing in it would tell whose it is."""
        if self._has_ids:
            return
        now_s = asyncio.get_running_loop().time()
        self._speak_at_s = now_s + (max(timeout_s, QUIET_S_MIN) if is_online else PROBE_QUIET_S)
        self._late_replies.add(unit.number, payload[0], reply_bytes, now_s=now_s, timeout_s=timeout_s)

    async def _wait_to_speak(self, unit: Unit) -> None:
        """Wait for the silence that the line and the unit need."""
        limits = unit.limits
        speak_at_s = self._speak_at_s
        gap_s = unit.gap_s
        if gap_s is not None and unit.last_good_s is not None:
            speak_at_s = max(speak_at_s, unit.last_good_s + gap_s)
        if self._last_unit is not None and self._last_unit != unit.number:
            switch_s = limits.delay_on_unit_switch_s
            if switch_s is None:
                switch_s = 0.0 if self._has_ids else RTU_UNIT_SWITCH_S
            speak_at_s = max(speak_at_s, self._speak_at_s - self._silence_s + switch_s)
        self._last_unit = unit.number
        wait_s = speak_at_s - asyncio.get_running_loop().time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    async def _connect(self, unit: Unit) -> Wire:
        """Open the connection, not before its backoff is over."""
        loop = asyncio.get_running_loop()
        if self._closed:
            raise NoReply(f"{self.endpoint.bus} is closed", fault=Fault.UNCONNECTED)
        wait_s = self._connect_at_s - loop.time()
        if wait_s > 0:
            message = f"not connected, next attempt in {wait_s:.1f} s: {self._connect_error}"
            unit.unconnected(now_s=loop.time(), message=message)
            raise NoReply(message, fault=Fault.UNCONNECTED)
        try:
            wire = await open_wire(self.endpoint, late_replies=self._late_replies, on_lost=self._wire_lost)
        except NoReply as error:
            self._connect_error = str(error)
            self._back_off()
            for known in self._units.values():
                known.unconnected(now_s=loop.time(), message=str(error))
            raise
        self._wire = wire
        self.connects += 1
        self._timeouts = 0
        self._speak_at_s = max(self._speak_at_s, loop.time() + self._pause.seconds(unit.limits))
        return wire

    def _back_off(self) -> None:
        delay_s = min(RECONNECT_S_START * 2**self._connect_failures, RECONNECT_S_MAX)
        delay_s *= 1 + self._random.uniform(-RECONNECT_JITTER, RECONNECT_JITTER)
        self._connect_failures += 1
        self._connect_at_s = asyncio.get_running_loop().time() + delay_s

    def _wire_lost(self, wire: Wire) -> None:
        if self._wire is wire:
            self._wire = None

    def _drop_wire(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _is_shared(self, unit: Unit) -> bool:
        return len(self._units) > 1


def open_patiently(endpoint: Endpoint) -> Bus:
    """Return a bus for a tool: on a network it stays with a connection on which nobody answers yet."""
    return Bus(endpoint, timeouts_until_close=None if endpoint.scheme.is_serial else SILENCES_MAX)
