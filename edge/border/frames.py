"""Frames on a stream: four bytes of length, then so much JSON."""

import asyncio
import struct

from contracts.wire import WireError
from edge.border.messages import FRAME_BYTES_MAX, Frame, decode, encode

_LENGTH = struct.Struct(">I")


class StreamBroken(WireError):
    """Where the next frame begins is not known any more: the connection is of no use."""


class Frames:
    """One connection; reads and writes whole frames.

    ``send`` waits while the other side takes nothing, and only who sends waits.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # A frame or two lie in our memory; the rest waits where it is bounded.
        writer.transport.set_write_buffer_limits(high=FRAME_BYTES_MAX)

    async def read(self) -> Frame | None:
        """Return the next frame, ``None`` at the end of the connection.

        Raises:
            StreamBroken: The length is beyond any frame; the connection is of no use.
            WireError: What came is no frame that we know; the next one can be read.
        """
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if length > FRAME_BYTES_MAX:
                raise StreamBroken(f"a frame of {length} bytes, above {FRAME_BYTES_MAX}")
            body = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            return None
        return decode(body)

    async def send(self, frame: Frame) -> None:
        """Write a frame.

        Raises:
            WireError: It is too long; nothing was sent.
            OSError: The connection is gone.
        """
        body = encode(frame)
        self._writer.write(_LENGTH.pack(len(body)) + body)
        await self._writer.drain()

    def close(self) -> None:
        """End the connection."""
        self._writer.close()
