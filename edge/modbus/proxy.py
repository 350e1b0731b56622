"""Lets other programs share the one connection that a device takes: a Modbus/TCP server in front of a bus.

Read-only unless told otherwise. Foreign requests have the least priority and a bounded share of the bus, so control
points keep their pace.
"""

import asyncio
import logging
import struct
from collections.abc import Collection
from dataclasses import dataclass

from contracts.reasons import reason_of
from edge.errors import ConfigError, DeviceRefused
from edge.modbus.bus import Bus
from edge.modbus.encode import WRITE_COIL, WRITE_COILS, WRITE_REGISTER, WRITE_REGISTERS
from edge.modbus.faults import NoReply
from edge.modbus.pdu import (
    COIL_ON,
    EXCEPTION_BIT,
    GATEWAY_PATH,
    GATEWAY_TARGET,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    READ_FUNCTION,
    read_reply,
)
from edge.modbus.point import BITS_PER_READ_MAX, REGISTERS_PER_READ_MAX, REGISTERS_PER_WRITE_MAX, Priority, Table

log = logging.getLogger(__name__)

CLIENTS_MAX = 8
IDLE_CLOSE_S = 300.0
# A full proxy lets go of the client that has asked nothing for longest, if it is as long as this.
IDLE_DROP_S = 10.0
SHARE_MAX = 0.25  # Of the bus time, for all clients together.
_ADU_BYTES_MAX = 260
_HEADER = struct.Struct(">HHHB")
_TABLE = {function: table for table, function in READ_FUNCTION.items()}
_WRITES = frozenset({WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS})


@dataclass(kw_only=True)
class ProxyCounts:
    """What the clients asked since the start."""

    clients: int = 0
    turned_away: int = 0
    dropped: int = 0
    reads: int = 0
    writes: int = 0
    refused: int = 0


@dataclass(kw_only=True)
class _Client:
    """A client that is there; ``idle_since_s`` in the loop's seconds, endless while it waits for an answer."""

    writer: asyncio.StreamWriter
    idle_since_s: float


class Refusal(Exception):
    """What a client is answered instead."""

    def __init__(self, exception_code: int) -> None:
        super().__init__(f"exception {exception_code}")
        self.exception_code = exception_code


class Proxy:
    """Serves one bus on a port of its own.

    Args:
        units: Units that may be asked; others are answered "gateway path unavailable".
        writable: Whether writes are passed on. The gateway's own commands then compete with foreign ones.
        share_max: Greatest share of the bus's time, over 0 to 1.
        idle_drop_s: Real seconds without a request after which a client makes room for another.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        units: Collection[int],
        writable: bool = False,
        share_max: float = SHARE_MAX,
        idle_drop_s: float = IDLE_DROP_S,
    ) -> None:
        self.counts = ProxyCounts()
        self._bus = bus
        self._units = frozenset(units)
        self._writable = writable
        self._share_max = share_max
        self._turn = asyncio.Lock()
        self._free_at_s = 0.0
        self._idle_drop_s = idle_drop_s
        self._connections: dict[asyncio.Task[None], _Client] = {}
        self._port: asyncio.Future[int] | None = None

    async def run(self, *, host: str = "127.0.0.1", port: int = 502) -> None:
        """Serve until cancelled; port 0 takes a free one, see ``port``.

        Raises:
            ConfigError: Nobody can listen there.
        """
        try:
            server = await asyncio.start_server(self._serve, host, port, limit=4 * _ADU_BYTES_MAX)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"the proxy cannot listen on {host}:{port}: {reason_of(error)}") from error
        self._port = self._port or asyncio.get_running_loop().create_future()
        self._port.set_result(server.sockets[0].getsockname()[1])
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            for task in list(self._connections):
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def port(self) -> int:
        """Wait until the proxy listens and return its port."""
        self._port = self._port or asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "streams serve in a task"
        if not self._has_room():
            self.counts.turned_away += 1
            writer.close()
            return
        task.set_name("modbus proxy client")
        client = self._connections[task] = _Client(writer=writer, idle_since_s=asyncio.get_running_loop().time())
        self.counts.clients += 1
        try:
            await self._converse(reader, client)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            log.debug("proxy client left", extra={"bus": self._bus.endpoint.bus})
        finally:
            self._connections.pop(task, None)
            writer.close()

    def _has_room(self) -> bool:
        """Say whether one more client may come, letting go of one that is there and does nothing."""
        if len(self._connections) < CLIENTS_MAX:
            return True
        task, idlest = min(self._connections.items(), key=lambda one: one[1].idle_since_s)
        if asyncio.get_running_loop().time() - idlest.idle_since_s < self._idle_drop_s:
            return False
        self.counts.dropped += 1
        del self._connections[task]
        idlest.writer.close()  # Its reader then ends.
        return True

    async def _converse(self, reader: asyncio.StreamReader, client: _Client) -> None:
        while True:
            async with asyncio.timeout(IDLE_CLOSE_S):
                transaction, protocol, size, unit = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                if protocol or not 2 <= size <= _ADU_BYTES_MAX - 6:
                    return
                payload = await reader.readexactly(size - 1)
            client.idle_since_s = float("inf")
            answer = await self._answer(unit, payload)
            client.idle_since_s = asyncio.get_running_loop().time()
            client.writer.write(_HEADER.pack(transaction, 0, len(answer) + 1, unit) + answer)
            await client.writer.drain()

    async def _answer(self, unit: int, payload: bytes) -> bytes:
        try:
            if unit not in self._units:
                raise Refusal(GATEWAY_PATH)
            async with self._turn:
                return await self._within_share(unit, payload)
        except (Refusal, DeviceRefused) as refusal:
            self.counts.refused += 1
            return bytes((payload[0] & 0x7F | EXCEPTION_BIT, refusal.exception_code))
        except NoReply:
            self.counts.refused += 1
            return bytes((payload[0] & 0x7F | EXCEPTION_BIT, GATEWAY_TARGET))

    async def _within_share(self, unit: int, payload: bytes) -> bytes:
        """Pass a request on; the next one waits until the bus was left alone for as long as the share asks."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._free_at_s - loop.time()))
        started_s = loop.time()
        try:
            return await self._pass_on(unit, payload)
        finally:
            ended_s = loop.time()
            self._free_at_s = ended_s + (ended_s - started_s) * (1 / self._share_max - 1)

    async def _pass_on(self, unit: int, payload: bytes) -> bytes:
        function = payload[0]
        if function in _TABLE and len(payload) == 5:
            table = _TABLE[function]
            address, count = struct.unpack(">HH", payload[1:])
            most = BITS_PER_READ_MAX if table.is_bits else REGISTERS_PER_READ_MAX
            if not 1 <= count <= most or address + count > 0x10000:
                raise Refusal(ILLEGAL_VALUE)
            self.counts.reads += 1
            values = await self._bus.read(unit, table, address, count, priority=Priority.BACKGROUND)
            return read_reply(table, values)
        if function in _WRITES and self._writable and not self._bus.read_only:
            address, words = written(payload)
            table = Table.COIL if function in (WRITE_COIL, WRITE_COILS) else Table.HOLDING
            self.counts.writes += 1
            await self._bus.write(unit, table, address, words, function=function, priority=Priority.BACKGROUND)
            return payload[:5]
        raise Refusal(ILLEGAL_FUNCTION)


def written(payload: bytes) -> tuple[int, tuple[int, ...]]:
    """Return the address and the words (or bits) that a write request sets.

    Raises:
        Refusal: The request contradicts itself.
    """
    if len(payload) < 5:
        raise Refusal(ILLEGAL_VALUE)
    function, address, count = struct.unpack(">BHH", payload[:5])
    if function == WRITE_COIL and count in (0, COIL_ON) and len(payload) == 5:
        return address, (int(count == COIL_ON),)
    if function == WRITE_REGISTER and len(payload) == 5:
        return address, (count,)
    data = payload[6:]
    size = (count + 7) // 8 if function == WRITE_COILS else 2 * count
    if not 1 <= count <= 16 * REGISTERS_PER_WRITE_MAX or len(data) != size or payload[5] != size:
        raise Refusal(ILLEGAL_VALUE)
    if function == WRITE_COILS:
        return address, tuple(data[bit // 8] >> bit % 8 & 1 for bit in range(count))
    return address, struct.unpack(f">{count}H", data)
