"""What a company's network puts before a broker: one port that tells protocols apart by ALPN, and an HTTP proxy."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.brokers.broker import Authority, Broker

_HEAD_BYTES_MAX = 4096


@dataclass
class SharedPort:
    """A TLS port that wants a client certificate and lets through who asks for one of its protocols."""

    broker: Broker
    authority: Authority
    protocols: tuple[str, ...]
    port: int = 0
    asked: list[str | None] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["SharedPort"]:
        """Listen for the block."""
        identity = self.authority.issue("shared-port", server=True)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.authority.ca_path))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(identity.cert_path, identity.key_path)
        context.set_alpn_protocols([*self.protocols, "http/1.1"])
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = int(server.sockets[0].getsockname()[1])
        async with _listening(server):
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        self.asked.append(found)
        if found in self.protocols:
            await _join(reader, writer, "127.0.0.1", self.broker.port)
        writer.transport.abort()


@dataclass
class ConnectProxy:
    """An HTTP proxy that knows CONNECT only."""

    port: int = 0
    asked: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["ConnectProxy"]:
        """Listen for the block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_HEAD_BYTES_MAX)
        self.port = int(server.sockets[0].getsockname()[1])
        async with _listening(server):
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            method, target, _ = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
            if method == b"CONNECT":
                self.asked.append(target.decode())
                host, _, port = target.decode().rpartition(":")
                if host != "localhost":
                    writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
                    await writer.drain()
                    writer.close()
                    return
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _join(reader, writer, host, int(port))
        writer.transport.abort()


@contextlib.asynccontextmanager
async def _listening(server: asyncio.Server) -> AsyncIterator[None]:
    try:
        yield
    finally:
        server.close()


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    """Carry bytes both ways until one side ends."""
    with contextlib.suppress(OSError):
        far_reader, far_writer = await asyncio.open_connection(host, port)
        try:
            ways = [
                asyncio.create_task(_pump(reader, far_writer), name="out"),
                asyncio.create_task(_pump(far_reader, writer), name="back"),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            far_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


def authority_in(folder: Path) -> Authority:
    """Return a new authority."""
    folder.mkdir()
    return Authority(folder=folder)
