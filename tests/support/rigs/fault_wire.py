"""A wire between gateways and devices in the hands of a test: it can be cut, and tells of every write that passes."""

import asyncio
import contextlib
import gc
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

from tests.support.modbus.simulator import RawClient, read_request

_HEADER = struct.Struct(">HHHB")
_WRITES = frozenset({5, 6, 15, 16})
SUNSPEC_BASE = 40_000
# Raw registers by model and by the offset from the model's id register.
Registers = dict[tuple[int, int], int]
_SUNSPEC_END = 0xFFFF


@dataclass(kw_only=True)
class Wire:
    """One device's port as the gateway sees it.

    ``on_write`` is called after the device has answered a write and before the gateway hears of it, with the number of
    writes so far; true holds the answer back for ever, as a process that dies at that moment never reads it.
    ``is_blank`` is asked at each read, of its first address and its number of registers: true blanks the answer's
    values, which then read as no number.
    """

    device_port: int
    port: int = 0
    writes: int = 0
    asked: Counter[bytes] = field(default_factory=Counter)  # How often each request passed, from its function on.
    is_cut: bool = False
    on_write: Callable[[int], bool] = field(default=lambda _: False)
    is_blank: Callable[[int, int], bool] = field(default=lambda *_: False)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def cut(self) -> None:
        """Let nothing through any more and end what is connected."""
        self.is_cut = True
        for writer in list(self._open):
            writer.transport.abort()

    def mend(self) -> None:
        """Let connections through again."""
        self.is_cut = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on, frame by frame, until either side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        onward: asyncio.StreamWriter | None = None
        try:
            if not self.is_cut:
                back, onward = await asyncio.open_connection("127.0.0.1", self.device_port)
                self._open.add(onward)
                while await self._one_exchange(reader, writer, back, onward):
                    pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for one in (writer, onward):
                if one is not None:
                    self._open.discard(one)
                    one.transport.abort()
            self._tasks.discard(task)

    async def _one_exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamReader,
        onward: asyncio.StreamWriter,
    ) -> bool:
        request = await _frame(reader)
        self.asked[request[_HEADER.size :]] += 1
        onward.write(request)
        answer = await _frame(back)
        if request[_HEADER.size] in _WRITES:
            self.writes += 1
            if self.on_write(self.writes):
                return False
        elif self.is_blank(*struct.unpack_from(">HH", request, _HEADER.size + 1)):
            head = _HEADER.size + 2
            answer = answer[:head] + bytes([0xFF]) * (len(answer) - head)
        writer.write(answer)
        return True

    async def end(self) -> None:
        """End every connection and wait for its task."""
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    header = await reader.readexactly(_HEADER.size)
    length = int(_HEADER.unpack(header)[2])
    return header + await reader.readexactly(length - 1)


@contextlib.contextmanager
def _short_collections() -> Iterator[None]:
    """Keep what exists now from the garbage collector.

    A full collection of a test process that has run thousands of tests takes a second. All wires stand still for as
    long, every gateway sees its readings grow too old, and steers as it should, which a test then takes for a fault.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextlib.asynccontextmanager
async def wires(device_ports: dict[str, int]) -> AsyncIterator[dict[str, Wire]]:
    """Put a wire before each device, each on a port of its own."""
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_short_collections())
        found: dict[str, Wire] = {}
        for name, device_port in device_ports.items():
            wire = Wire(device_port=device_port)
            server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
            wire.port = int(server.sockets[0].getsockname()[1])
            stack.push_async_callback(wire.end)
            stack.callback(server.close)
            found[name] = wire
        yield found


async def model_address(client: RawClient, model: int) -> int:
    """Return the address of a SunSpec model's id register, by walking the chain.

    Raises:
        LookupError: The device has no such model.
    """
    at = SUNSPEC_BASE + 2
    while True:
        answer = await client.ask(read_request(at, 2))
        found, length = struct.unpack(">HH", answer[2:6])
        if found == model:
            return at
        if found == _SUNSPEC_END:
            raise LookupError(f"the device has no model {model}")
        at += 2 + int(length)


async def registers(client: RawClient) -> Registers:
    """Return the controls of an inverter, raw: the models 123 and, where there is one, 124."""
    found: Registers = {}
    for model, size in ((123, 24), (124, 24)):
        try:
            at = await model_address(client, model)
        except LookupError:
            continue
        answer = await client.ask(read_request(at, size))
        values = struct.unpack(f">{size}H", answer[2:])
        found |= {(model, offset): int(value) for offset, value in enumerate(values)}
    return found


async def overwrite(port: int, model: int, offset: int, value: int) -> None:
    """Write one register as another master would, past the gateway's wire."""
    client = await RawClient.connect(port)
    try:
        address = await model_address(client, model) + offset
        answer = await client.ask(struct.pack(">BHHBH", 16, address, 1, 2, value))
        assert answer[0] == 16, f"the device refused the other master's write: {answer.hex()}"
    finally:
        await client.close()
