"""The Modbus TCP server: frames in, frames out, several units behind one port.

Requests that arrive together are answered together and in order; a unit that is not there is silent, as most devices
are. Source: MODBUS Messaging on TCP/IP Implementation Guide 1.0b, section 3.1.3 (header), 4.2.1 (pipelining).
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Mapping

from firmware_sim.bank import Bank
from firmware_sim.errors import PortTaken
from firmware_sim.faults import FaultyWire
from firmware_sim.pdu import PDU_BYTES_MAX, answer

_HEADER = struct.Struct(">HHHB")
_HEADER_BYTES = _HEADER.size
_LENGTH_MAX = PDU_BYTES_MAX + 1
# A client that does not read its answers is dropped beyond this; a correct one never has more than a few outstanding.
_UNREAD_BYTES_MAX = 1 << 20


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: "ModbusServer") -> None:
        """Belong to a server; nothing starts before the connection is made."""
        self._server = server
        self._buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client, or close at once when there are too many."""
        assert isinstance(transport, asyncio.Transport)
        if not self._server.admit(self):
            transport.abort()
            return
        peer = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport = transport
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._server.forget(self)
        self.transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every whole frame; a frame that cannot be one ends the connection."""
        if self.transport is None:
            return
        buffer = self._buffer + data if self._buffer else data
        at, size = 0, len(buffer)
        replies = []
        while size - at >= _HEADER_BYTES:
            transaction, protocol, length, unit = _HEADER.unpack_from(buffer, at)
            if protocol != 0 or not 2 <= length <= _LENGTH_MAX:
                self.transport.abort()
                return
            end = at + 6 + length
            if end > size:
                break
            reply = self._server.answer(self, transaction, unit, buffer[at + _HEADER_BYTES : end])
            if reply is not None:
                replies.append(reply)
            at = end
        self._buffer = buffer[at:]
        if replies:
            self.send(replies[0] if len(replies) == 1 else b"".join(replies))

    def frame(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        """Return a PDU behind its TCP header."""
        return frame(transaction, unit, pdu)

    def send(self, data: bytes) -> float:
        """Write to the client, if it is still there and reads, and return the loop's time."""
        now_s = asyncio.get_running_loop().time()
        if self.transport is None or self.transport.is_closing():
            return now_s
        if self.transport.get_write_buffer_size() > _UNREAD_BYTES_MAX:
            self.transport.abort()
            return now_s
        self.transport.write(data)
        return now_s

    def hang_up(self) -> None:
        """Close the connection once what was sent has left."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Reset the connection."""
        if self.transport is not None:
            self.transport.abort()


class ModbusServer:
    """Units behind one TCP port."""

    def __init__(self, units: Mapping[int, Bank], *, clients_max: int = 16, wire: FaultyWire | None = None) -> None:
        """Serve banks by unit id; ``wire`` may spoil the answers."""
        self.units = dict(units)
        self.requests = 0
        self._clients_max = clients_max
        self._wire = wire
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """Return how many clients are connected."""
        return len(self._connections)

    async def start(self, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> int:
        """Listen, and return the port, which the machine chooses where 0 is asked for; ``tls`` encrypts it.

        Raises:
            PortTaken: Nothing can listen there.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Connection(self), host, port, ssl=tls)
        except OSError as error:
            raise PortTaken(f"cannot listen on {host}:{port}: {error.strerror}; the device is not served") from error
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and drop every client."""
        if self._server is not None:
            self._server.close()
            self.drop_clients()
            await self._server.wait_closed()
            self._server = None

    def drop_clients(self) -> None:
        """Reset every connection."""
        for connection in tuple(self._connections):
            connection.abort()

    def admit(self, connection: Connection) -> bool:
        """Count a client in, unless there are as many as the device takes."""
        if len(self._connections) >= self._clients_max:
            return False
        self._connections.add(connection)
        return True

    def opened(self, connection: Connection) -> None:
        """Let the wire know of a client."""
        if self._wire is not None:
            self._wire.opened(connection)

    def forget(self, connection: Connection) -> None:
        """Count a client out."""
        self._connections.discard(connection)

    def answer(self, connection: Connection, transaction: int, unit: int, request: bytes) -> bytes | None:
        """Return the frame that answers a request, or ``None`` when nothing is to be sent now."""
        self.requests += 1
        if self._wire is not None:
            self._wire.deliver(connection, self, transaction=transaction, unit=unit, request=request)
            return None
        bank = self.units.get(unit)
        return None if bank is None else frame(transaction, unit, answer(bank, request))


def frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """Return a PDU behind its TCP header."""
    return _HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu
