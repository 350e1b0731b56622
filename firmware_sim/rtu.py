"""Modbus RTU: frames with a checksum on a line that takes its time.

A pseudo-terminal moves bytes at once, so the line's speed is added here: a request occupies the line as long as its
bytes take, the device thinks for its turnaround, the answer takes as long as its own bytes. Line times are real time.

Source: MODBUS over Serial Line 1.02, section 2.5.1 (frame, checksum, silent interval of 3.5 characters).
"""

import asyncio
import os
import socket
import tty
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from firmware_sim.bank import Bank
from firmware_sim.errors import PortTaken
from firmware_sim.faults import FaultyWire
from firmware_sim.pdu import WRITE_COILS, WRITE_REGISTERS, answer

_BROADCAST = 0
_FRAME_BYTES_MAX = 256
_FIXED_REQUEST_BYTES = 8
_SILENT_CHARACTERS = 3.5
# Above 19200 baud the standard fixes the silent interval.
_SILENT_FIXED_S = 0.00175
_BAUD_FIXED = 19200
# Half a frame that is older than this is none any more. A real line allows 1.5 characters; a busy machine needs more.
_STALE_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a line is. ``bits_per_character`` counts start, parity and stop bits: 10 for 8N1, 11 for 8E1."""

    baud: int = 9600
    bits_per_character: int = 10
    turnaround_s: float = 0.005

    def line_s(self, count: int) -> float:
        """Return how long so many bytes occupy the line."""
        return count * self.bits_per_character / self.baud

    @property
    def silent_s(self) -> float:
        """Return the silence that ends a frame."""
        return _SILENT_FIXED_S if self.baud > _BAUD_FIXED else self.line_s(1) * _SILENT_CHARACTERS


class RtuLine:
    """One serial line with its devices, whatever carries the bytes."""

    def __init__(
        self,
        units: Mapping[int, Bank],
        *,
        write: Callable[[bytes], None],
        pace: Pace | None,
        wire: FaultyWire | None = None,
        hang_up: Callable[[], None] | None = None,
    ) -> None:
        """Serve devices by unit id; without a pace bytes take no time."""
        self.units = dict(units)
        self.requests = 0
        self._write = write
        self._pace = pace
        self._wire = wire
        self._hang_up = hang_up
        self._buffer = b""
        self._free_at_s = 0.0
        self._heard_at_s = 0.0

    def feed(self, data: bytes) -> None:
        """Take bytes from the line and answer every whole request for one of our units.

        Bytes that are no frame are dropped up to where one begins; a line has no other way to get into step.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s - self._heard_at_s > _STALE_S:
            self._buffer = b""
        self._heard_at_s = now_s
        if self._pace is not None:
            self._free_at_s = max(self._free_at_s, now_s) + self._pace.line_s(len(data))
        self._buffer = (self._buffer + data)[-2 * _FRAME_BYTES_MAX :]
        while self._buffer:
            size = request_bytes(self._buffer)
            if size is None or size > len(self._buffer):
                break
            frame, rest = self._buffer[:size], self._buffer[size:]
            if crc16(frame) != 0:
                self._buffer = self._buffer[1:]
                continue
            self._buffer = rest
            self._take(frame[0], frame[1:-2])

    def frame(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        """Return a PDU between address and checksum; a line knows no transactions."""
        body = bytes((unit,)) + pdu
        return body + crc16(body).to_bytes(2, "little")

    def send(self, data: bytes) -> float:
        """Write an answer so that its last byte arrives when the line would have brought it, and return that time."""
        loop = asyncio.get_running_loop()
        if self._pace is None:
            self._write(data)
            return loop.time()
        start_s = max(self._free_at_s + self._pace.silent_s, loop.time()) + self._pace.turnaround_s
        self._free_at_s = start_s + self._pace.line_s(len(data))
        loop.call_at(self._free_at_s, self._write, data)
        return self._free_at_s

    def hang_up(self) -> None:
        """End the connection that carries the line, where there is one."""
        if self._hang_up is not None:
            self._hang_up()

    def drop_clients(self) -> None:
        """End the connection that carries the line, where there is one."""
        self._buffer = b""
        self.hang_up()

    def _take(self, unit: int, request: bytes) -> None:
        self.requests += 1
        if unit == _BROADCAST:
            for one in self.units.values():
                answer(one, request)
            return
        if self._wire is not None:
            self._wire.deliver(self, self, transaction=0, unit=unit, request=request)
            return
        bank = self.units.get(unit)
        if bank is None:
            return
        self.send(self.frame(0, unit, answer(bank, request)))


class PtyServer:
    """A serial line as a pseudo-terminal: clients open ``path`` as they would a USB adapter."""

    def __init__(self, units: Mapping[int, Bank], *, pace: Pace | None = None, wire: FaultyWire | None = None) -> None:
        """Serve devices by unit id; nothing is opened before ``start``."""
        self.line = RtuLine(units, write=self._write, pace=pace, wire=wire)
        self.path = ""
        self._master = self._slave = -1

    async def start(self) -> str:
        """Open the pair and return the path of the clients' end."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        # Our own handle on the clients' end keeps the line up while nobody has it open.
        self.path = os.ttyname(self._slave)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        return self.path

    async def stop(self) -> None:
        """Take the line down."""
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = self._slave = -1

    def _read(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        self.line.feed(data)

    def _write(self, data: bytes) -> None:
        if self._master < 0:
            return
        try:
            os.write(self._master, data)
        except BlockingIOError:
            # Nobody reads: what a line cannot hold is lost.
            return


class _RtuConnection(asyncio.Protocol):
    def __init__(self, server: "RtuTcpServer") -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._line = server.line(self._write, self._hang_up)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport
        self._server.connections.add(self)
        self._server.opened(self._line)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._line.feed(data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()


class RtuTcpServer:
    """RTU frames inside a TCP connection, as transparent serial servers carry them."""

    def __init__(self, units: Mapping[int, Bank], *, pace: Pace | None = None, wire: FaultyWire | None = None) -> None:
        """Serve devices by unit id."""
        self._units = dict(units)
        self._pace = pace
        self._wire = wire
        self.connections: set[_RtuConnection] = set()
        self._server: asyncio.Server | None = None

    def opened(self, line: RtuLine) -> None:
        """Let the wire know of a client."""
        if self._wire is not None:
            self._wire.opened(line)

    def line(self, write: Callable[[bytes], None], hang_up: Callable[[], None]) -> RtuLine:
        """Return the line that a new connection talks to."""
        return RtuLine(self._units, write=write, pace=self._pace, wire=self._wire, hang_up=hang_up)

    async def start(self, *, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen and return the port.

        Raises:
            PortTaken: Nothing can listen there.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _RtuConnection(self), host, port)
        except OSError as error:
            raise PortTaken(f"cannot listen on {host}:{port}: {error.strerror}; the line is not served") from error
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and drop every client."""
        if self._server is not None:
            self._server.close()
            for connection in tuple(self.connections):
                connection.abort()
            await self._server.wait_closed()
            self._server = None


def request_bytes(buffer: bytes) -> int | None:
    """Return how long the request at the start of a buffer is, or ``None`` while that cannot be said."""
    if len(buffer) < 2:
        return None
    if buffer[1] in (WRITE_COILS, WRITE_REGISTERS):
        return None if len(buffer) < 7 else 9 + buffer[6]
    return _FIXED_REQUEST_BYTES


def crc16(data: bytes) -> int:
    """Return the checksum of a frame; of a frame with its own checksum appended it is zero.

    Source: MODBUS over Serial Line 1.02, section 6.2.2, polynomial 0xA001.
    """
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def _crc_entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_CRC_TABLE = tuple(_crc_entry(byte) for byte in range(256))
