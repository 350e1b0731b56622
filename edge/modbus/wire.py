"""One open connection: at most one request outstanding, and only its own answer is taken.

pymodbus frames the bytes; the checks are ours, because it skips what does not fit and waits on: a reply must name the
request (transaction id, where the framing has one), the unit and the function, and be as long as was asked for.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from pymodbus.framer import FramerAscii, FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from edge.errors import DeviceRefused
from edge.modbus.faults import Fault, NoReply
from edge.modbus.late_replies import LateReplies
from edge.modbus.pdu import EXCEPTION_BIT, EXCEPTION_TEXT, READ_FUNCTION
from edge.modbus.url import Scheme

_IDS_MAX = 0xFFFF
_MBAP_BYTES = 8  # Transaction, protocol and length, two bytes each; unit; function.
_ADU_BYTES_MAX = 260  # Source: Modbus messaging on TCP/IP 1.0b, 3.1.3.
_ASCII_BYTES_MAX = 520  # Source: Modbus over serial line 1.02, 2.5.2: two characters a byte.
_REMEMBERED_IDS_MAX = 64  # Requests whose late or repeated replies are recognised.
_NAMELESS_UNITS = (0, 255)  # What bridges put there that do not keep it.
_NO_UNIT = 0
_LINE_NOISE = (0x00, 0xFF)  # What an idle or turning RS-485 pair is read as.


@dataclass(slots=True)
class _Pending:
    transaction: int
    unit: int
    function: int
    reply_bytes: int
    future: "asyncio.Future[bytes]"
    sent_s: float
    expected: bytes | None


@dataclass(kw_only=True)
class WireCounts:
    """What came that was not the answer to the outstanding request."""

    late: int = 0
    repeated: int = 0
    stray: int = 0
    mismatched: int = 0
    broken: int = 0


class Wire(asyncio.Protocol):
    """The two ends of one connection, as asyncio calls it and as the bus uses it."""

    def __init__(self, scheme: Scheme, *, late_replies: LateReplies, on_lost: Callable[["Wire"], None]) -> None:
        decoder = DecodePDU(False)
        self._has_ids = scheme.has_transaction_ids
        self._is_ascii = scheme is Scheme.ASCII
        self._framer: FramerSocket | FramerRTU | FramerAscii
        if self._has_ids:
            self._framer = FramerSocket(decoder)
        elif self._is_ascii:
            self._framer = FramerAscii(decoder)
        else:
            self._framer = FramerRTU(decoder)
        self._late_replies = late_replies
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = b""
        self._pending: _Pending | None = None
        self._transaction = 0
        self._sent = b""
        self._echoes = False
        self._expired: dict[int, float] = {}
        self._answered: deque[int] = deque(maxlen=_REMEMBERED_IDS_MAX)
        self.has_sent = False
        self.opened = asyncio.Event()
        self.counts = WireCounts()
        self.late_latency_s: float | None = None

    # What the bus uses.

    async def request(
        self, *, unit: int, payload: bytes, reply_bytes: int, timeout_s: float, expected: bytes | None = None
    ) -> bytes:
        """Send a payload and return the payload of its answer.

        Args:
            reply_bytes: How long a good answer's payload is.
            timeout_s: Real seconds until the answer must have come.
            expected: The only good answer, of a write; None where an answer holds what is to be learned.

        Raises:
            NoReply: Nothing came, or something else did.
            DeviceRefused: The device answered with an exception.
        """
        assert self._pending is None, "one request at a time"
        if self._transport is None:
            raise NoReply("connection lost", fault=Fault.LOST)
        self._transaction = self._transaction % _IDS_MAX + 1 if self._has_ids else 0
        now_s = self._loop.time()
        future: asyncio.Future[bytes] = self._loop.create_future()
        pending = _Pending(self._transaction, unit, payload[0], reply_bytes, future, now_s, expected)
        self._pending = pending
        self._buffer = b""
        timer = self._loop.call_at(now_s + timeout_s, self._expire, pending, timeout_s)
        try:
            self._sent = self._framer.encode(payload, unit, self._transaction)
            self._transport.write(self._sent)
            self.has_sent = True
            return await future
        finally:
            timer.cancel()
            if self._pending is pending:
                self._pending = None
                self._remember(pending)

    def wake(self, *, unit: int, payload: bytes) -> None:
        """Send a payload whose answer, should one come, is of no use."""
        if self._transport is not None:
            self._transport.write(self._framer.encode(payload, unit, 0))

    def close(self) -> None:
        """Close the connection; the outstanding request fails."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
        self._fail(Fault.LOST, "connection closed")

    @property
    def is_open(self) -> bool:
        """Return whether requests can be sent."""
        return self._transport is not None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.WriteTransport, transport)
        self.opened.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is outstanding and tell the owner."""
        self._transport = None
        self._fail(Fault.LOST, f"connection lost: {exc}" if exc else "connection closed by the device")
        self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes in whatever pieces they come."""
        if self._has_ids:
            if self._buffer and self._is_whole_and_other(data):
                self._buffer = b""
                self._broken("a reply to another request came in the middle of a frame")
                return
            self._buffer += data
            self._take_identified()
        else:
            self._buffer += data
            self._take_serial()

    # Frames with transaction ids.

    def _take_identified(self) -> None:
        """Take every whole frame, and none of them where the bytes after them belong to no request of ours.

        A reply that was cut short swallows the start of the next one, and all its fields fit; only what is left of
        that next one shows it.
        """
        rest = self._buffer
        frames: list[tuple[int, int, bytes]] = []
        while len(rest) >= _MBAP_BYTES:
            frame_bytes = 6 + int.from_bytes(rest[4:6], "big")
            if rest[2:4] != b"\x00\x00" or not _MBAP_BYTES <= frame_bytes <= _ADU_BYTES_MAX:
                self._buffer = b""
                self._broken("bytes came that are no Modbus/TCP frame")
                return
            if len(rest) < frame_bytes:
                break
            _, unit, transaction, payload = self._framer.decode(rest[:frame_bytes])
            frames.append((transaction, unit, payload))
            rest = rest[frame_bytes:]
        if frames and rest and not self._may_start(rest):
            self._buffer = b""
            self._broken(f"{len(rest)} bytes came after a frame that begin no answer to a request")
            return
        self._buffer = rest
        for transaction, unit, payload in sorted(frames, key=self._is_answer):
            self._take_transaction(transaction, unit, payload)

    def _may_start(self, rest: bytes) -> bool:
        """Return whether bytes may be the start of a further answer to something that was asked."""
        if len(rest) < 2 or any(rest[2:4]):
            return False
        transaction = int.from_bytes(rest[:2], "big")
        pending = self._pending
        is_pending = pending is not None and transaction == pending.transaction
        return is_pending or transaction in self._expired or transaction in self._answered

    def _is_whole_and_other(self, data: bytes) -> bool:
        """Return whether bytes are exactly one frame that answers an earlier request."""
        if len(data) < _MBAP_BYTES or any(data[2:4]) or 6 + int.from_bytes(data[4:6], "big") != len(data):
            return False
        transaction = int.from_bytes(data[:2], "big")
        return transaction in self._expired or transaction in self._answered

    def _is_answer(self, frame: tuple[int, int, bytes]) -> bool:
        """Return whether a frame names the outstanding request; it is answered when the others are accounted for."""
        return self._pending is not None and frame[0] == self._pending.transaction

    def _take_transaction(self, transaction: int, unit: int, payload: bytes) -> None:
        pending = self._pending
        if pending is not None and transaction == pending.transaction:
            self._answer(pending, unit, payload)
        elif transaction in self._expired:
            self.late_latency_s = self._loop.time() - self._expired.pop(transaction)
            self.counts.late += 1
        elif transaction in self._answered:
            self.counts.repeated += 1
        else:
            self.counts.mismatched += 1
            self._fail(Fault.MISMATCH, f"a reply came to transaction {transaction}, which was never asked")

    # Frames without.

    def _take_serial(self) -> None:
        pending = self._pending
        if pending is not None and not self._is_ascii:
            while self._buffer and self._is_noise(pending):
                self._buffer = self._buffer[1:]
            if self._is_echo(pending):
                return
        if not self._buffer:
            return
        try:
            used, unit, _, payload = self._framer.decode(self._buffer)
        except ValueError:  # The framer takes it for granted that an ASCII frame is made of hexadecimal digits.
            self._buffer = b""
            self._broken("a frame came that is not made of hexadecimal digits")
            return
        if not used:
            if len(self._buffer) > (_ASCII_BYTES_MAX if self._is_ascii else _ADU_BYTES_MAX):
                self._buffer = b""
                self._broken("more bytes came than a frame can have")
            return
        surplus = len(self._buffer) - (used if self._is_ascii else len(payload) + 3)
        self._buffer = b""
        if not payload:
            self._broken("a frame came with a wrong checksum")
        elif surplus:
            self._broken(f"{surplus} bytes came beside a frame")
        elif pending is None:
            self.counts.stray += 1
        elif self._is_nameless(pending, unit, payload):
            self._answer(pending, pending.unit, payload)
        elif self._comes_late(pending, unit, payload):
            self.counts.late += 1
        else:
            self._answer(pending, unit, payload)

    def _is_noise(self, pending: _Pending) -> bool:
        """Return whether the first byte is none of a frame: neither our unit, nor the 0 of an adapter without one."""
        first = self._buffer[0]
        if first not in _LINE_NOISE or first == pending.unit:
            return False
        second = self._buffer[1] & ~EXCEPTION_BIT if len(self._buffer) > 1 else None
        return not (first == _NO_UNIT and second == pending.function != pending.unit)

    def _is_nameless(self, pending: _Pending, unit: int, payload: bytes) -> bool:
        """Return whether a frame that names unit 0 answers what was asked: no unit is 0, and no other answer is due.

        Source: Modbus over serial line 1.02, 2.2: address 0 is broadcast, to which nobody answers.
        """
        is_like = payload[0] & ~EXCEPTION_BIT == pending.function
        is_feared = self._late_replies.is_feared(payload[0], len(payload), now_s=self._loop.time())
        return unit == _NO_UNIT != pending.unit and is_like and not is_feared

    def _is_echo(self, pending: _Pending) -> bool:
        """Drop our own request, which a half-duplex adapter repeats; return whether more of it is to come.

        A read is never its own answer. A write may be: only an adapter that has echoed a read is known to do it.
        """
        is_read = pending.function in READ_FUNCTION.values()
        if not self._sent or not (is_read or self._echoes):
            return False
        if self._buffer.startswith(self._sent):
            self._buffer = self._buffer[len(self._sent) :]
            self._sent = b""
            self._echoes = True
            return not self._buffer
        return self._sent.startswith(self._buffer)

    def _comes_late(self, pending: _Pending, unit: int, payload: bytes) -> bool:
        """Return whether a frame answers a request that nobody waits for any more, and cannot answer this one."""
        shape = unit, payload[0], len(payload)
        if shape == (pending.unit, pending.function, pending.reply_bytes) and pending.expected in (None, payload):
            return False
        return self._late_replies.until_s(*shape, now_s=self._loop.time()) is not None

    # Both.

    def _answer(self, pending: _Pending, unit: int, payload: bytes) -> None:
        """Give the outstanding request its answer, if it is one."""
        function = payload[0] & ~EXCEPTION_BIT
        # A bridge may forget the unit; the transaction id says whose answer it is.
        is_from = unit == pending.unit or (self._has_ids and unit in _NAMELESS_UNITS)
        if not is_from or function != pending.function:
            self.counts.mismatched += 1
            self._fail(
                Fault.MISMATCH,
                f"asked unit {pending.unit} function {pending.function}, unit {unit} answered function {function}",
            )
        elif payload[0] & EXCEPTION_BIT and len(payload) == 2:
            code = payload[1]
            message = f"unit {unit} refused function {function}: exception {code}"
            if code in EXCEPTION_TEXT:
                message += f" ({EXCEPTION_TEXT[code]})"
            self._done(pending, DeviceRefused(message, exception_code=code))
        elif len(payload) != pending.reply_bytes:
            self.counts.mismatched += 1
            self._fail(
                Fault.LENGTH, f"unit {unit} answered {len(payload)} bytes where {pending.reply_bytes} were asked for"
            )
        elif pending.expected not in (None, payload):
            self.counts.mismatched += 1
            self._fail(Fault.MISMATCH, f"unit {unit} confirmed another write than it was told")
        else:
            self._done(pending, payload)

    def _done(self, pending: _Pending, answer: bytes | Exception) -> None:
        self._pending = None
        if self._has_ids:
            self._answered.append(pending.transaction)
        if pending.future.done():
            return
        if isinstance(answer, bytes):
            pending.future.set_result(answer)
        else:
            pending.future.set_exception(answer)

    def _expire(self, pending: _Pending, timeout_s: float) -> None:
        if self._pending is pending:
            self._fail(Fault.TIMEOUT, f"unit {pending.unit} did not answer within {timeout_s:.2f} s")

    def _broken(self, message: str) -> None:
        self.counts.broken += 1
        self._fail(Fault.FRAMING, message)

    def _fail(self, fault: Fault, message: str) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        self._remember(pending)
        if not pending.future.done():
            pending.future.set_exception(NoReply(message, fault=fault))

    def _remember(self, pending: _Pending) -> None:
        """Keep the id of a request that nobody waits for any more, so that its late reply is known as such."""
        if self._has_ids:
            self._expired[pending.transaction] = pending.sent_s
            while len(self._expired) > _REMEMBERED_IDS_MAX:
                del self._expired[next(iter(self._expired))]
