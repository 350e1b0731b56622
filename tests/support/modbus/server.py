"""A small Modbus device on a real socket or pseudo-terminal, independent of the engine, with a hook for wire faults."""

import asyncio
import os
import ssl
import struct
import termios
import tty
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

READS = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
ANSWERS_MAX = 64  # Of a line that are on their way; a device that is gone sends none of them.
PTY_CHAR_BITS = 10  # A pseudo-terminal has no parity bit.
WRITES = {5: "coil", 6: "holding", 15: "coil", 16: "holding"}


@dataclass(kw_only=True)
class Bank:
    """Registers of one unit; an address that is absent is illegal."""

    holding: dict[int, int] = field(default_factory=dict)
    input: dict[int, int] = field(default_factory=dict)
    coil: dict[int, int] = field(default_factory=dict)
    discrete: dict[int, int] = field(default_factory=dict)
    max_count: int = 2000


@dataclass(kw_only=True)
class Request:
    """One request as it came."""

    number: int
    unit: int
    pdu: bytes
    transaction: int = 0

    @property
    def address(self) -> int:
        """Return the first address."""
        return int.from_bytes(self.pdu[1:3], "big")

    @property
    def count(self) -> int:
        """Return how many values are meant."""
        return int.from_bytes(self.pdu[3:5], "big")


# What to send for a request: pairs of a delay in seconds and the bytes of a whole frame.
Sending = list[tuple[float, bytes]]
Fault = Callable[["Device", Request, bytes | None], Sending]


class Device:
    """Units that answer; ``fault`` decides what is sent, ``requests`` records what was asked.

    Args:
        patience_s: A connection on which nothing comes for so long after it opens is closed; None bears everything.
    """

    def __init__(
        self,
        units: Mapping[int, Bank],
        *,
        is_rtu: bool = False,
        fault: Fault | None = None,
        patience_s: float | None = None,
    ) -> None:
        self.patience_s = patience_s
        self.units = dict(units)
        self.is_rtu = is_rtu
        self.fault = fault
        self.requests: list[Request] = []
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    def answer(self, request: Request) -> bytes | None:
        """Return the payload of an honest answer, None where no such unit exists."""
        bank = self.units.get(request.unit)
        if bank is None:
            return None
        function = request.pdu[0]
        if function in READS:
            table = getattr(bank, READS[function])
            wanted = range(request.address, request.address + request.count)
            if request.count > bank.max_count:
                return bytes((function | 0x80, 3))
            if not all(address in table for address in wanted):
                return bytes((function | 0x80, 2))
            values = [table[address] for address in wanted]
            if function > 2:
                data = struct.pack(f">{len(values)}H", *values)
            else:
                packed = sum(bool(value) << bit for bit, value in enumerate(values))
                data = packed.to_bytes((len(values) + 7) // 8, "little")
            return bytes((function, len(data))) + data
        if function not in WRITES:
            return bytes((function | 0x80, 1))
        table = getattr(bank, WRITES[function])
        if function == 5:
            values = [int(request.pdu[3] == 0xFF)]
        elif function == 6:
            values = [request.count]
        elif function == 15:
            values = [request.pdu[6 + bit // 8] >> bit % 8 & 1 for bit in range(request.count)]
        else:
            values = list(struct.unpack_from(f">{request.count}H", request.pdu, 6))
        if not all(request.address + at in table for at in range(len(values))):
            return bytes((function | 0x80, 2))
        for at, value in enumerate(values):
            table[request.address + at] = value
        return request.pdu[:5]

    def frame(
        self, request: Request, payload: bytes, *, unit: int | None = None, transaction: int | None = None
    ) -> bytes:
        """Return a payload as a frame of this device's framing."""
        unit = request.unit if unit is None else unit
        if self.is_rtu:
            body = bytes((unit,)) + payload
            return body + crc16(body)
        transaction = request.transaction if transaction is None else transaction
        return struct.pack(">HHHB", transaction, 0, len(payload) + 1, unit) + payload

    def sendings(self, unit: int, pdu: bytes, transaction: int) -> Sending:
        """Return what goes out for a request."""
        request = Request(number=len(self.requests), unit=unit, pdu=pdu, transaction=transaction)
        self.requests.append(request)
        payload = self.answer(request)
        if self.fault is not None:
            return self.fault(self, request, payload)
        return [] if payload is None else [(0.0, self.frame(request, payload))]


def crc16(data: bytes) -> bytes:
    """Return the checksum of an RTU frame, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def honest(device: Device, request: Request, payload: bytes | None) -> Sending:
    """Send the answer at once."""
    return [] if payload is None else [(0.0, device.frame(request, payload))]


async def _send(device: Device, sendings: Sending, write: Callable[[bytes], object]) -> None:
    for delay_s, frame in sendings:
        if delay_s <= 0:
            write(frame)
        else:

            async def later(delay_s: float = delay_s, frame: bytes = frame) -> None:
                await asyncio.sleep(delay_s)
                write(frame)

            task = asyncio.create_task(later(), name="late reply")
            device.tasks.add(task)
            task.add_done_callback(device.tasks.discard)


@asynccontextmanager
async def tcp_device(
    device: Device, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve a device on loopback, by TLS where a context is given, and yield its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        device.connections += 1
        device.open.add(writer)

        def write(frame: bytes) -> None:
            if not writer.is_closing():
                writer.write(frame)

        buffer = b""
        try:
            patience_s = device.patience_s
            while data := await asyncio.wait_for(reader.read(4096), patience_s):
                patience_s = None
                buffer += data
                while len(buffer) >= 8:
                    if device.is_rtu:
                        size = 8 if buffer[1] < 15 else 9 + buffer[6]
                        header, unit, transaction = 1, buffer[0], 0
                    else:
                        size = 6 + int.from_bytes(buffer[4:6], "big")
                        header, unit, transaction = 7, buffer[6], int.from_bytes(buffer[:2], "big")
                    if len(buffer) < size:
                        break
                    pdu = buffer[header : size - 2 if device.is_rtu else size]
                    buffer = buffer[size:]
                    await _send(device, device.sendings(unit, pdu, transaction), write)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            pass
        finally:
            device.open.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, host, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in list(device.open):
            writer.close()
        for task in list(device.tasks):
            task.cancel()
        await asyncio.sleep(0)


@asynccontextmanager
async def pty_device(device: Device, *, line_baud: int | None = None, turnaround_s: float = 0.0) -> AsyncIterator[str]:
    """Serve a device on a pseudo-terminal and yield the path to open; a pty has no speed, so the line's is added."""
    device.is_rtu = True
    master, slave = os.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    attributes = termios.tcgetattr(slave)
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    os.set_blocking(master, False)
    loop = asyncio.get_running_loop()
    buffer = b""
    answers: deque[asyncio.TimerHandle] = deque(maxlen=ANSWERS_MAX)
    char_s = PTY_CHAR_BITS / line_baud if line_baud else 0.0

    def write(frame: bytes) -> None:
        os.write(master, frame)

    def readable() -> None:
        nonlocal buffer
        try:
            buffer += os.read(master, 4096)
        except (BlockingIOError, OSError):
            return
        while len(buffer) >= 8:
            size = 8 if buffer[1] < 15 else 9 + buffer[6]
            if len(buffer) < size:
                return
            frame, buffer = buffer[:size], buffer[size:]
            if crc16(frame[:-2]) != frame[-2:]:
                continue
            sendings = device.sendings(frame[0], frame[1:-2], 0)
            now_s = loop.time()
            for delay_s, reply in sendings:
                silence_s = 3.5 * char_s
                at_s = now_s + delay_s + turnaround_s + (size + len(reply)) * char_s + silence_s
                if at_s <= now_s:
                    write(reply)
                else:
                    answers.append(loop.call_at(at_s, write, reply))

    loop.add_reader(master, readable)
    try:
        yield os.ttyname(slave)
    finally:
        loop.remove_reader(master)
        for answer in answers:
            answer.cancel()
        os.close(slave)
        os.close(master)
