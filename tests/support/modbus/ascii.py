"""A device that speaks Modbus ASCII on a pseudo-terminal, independent of the engine, and sleeps if told to.

Source: Modbus over serial line 1.02, 2.5.2: a colon, two characters a byte, the LRC, carriage return and line feed.
"""

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator

from tests.support.modbus.server import Device


def encoded(unit: int, payload: bytes) -> bytes:
    """Return a payload as a frame."""
    body = bytes((unit,)) + payload
    return b":" + (body + bytes((-sum(body) & 0xFF,))).hex().upper().encode("ascii") + b"\r\n"


def decoded(frame: bytes) -> tuple[int, bytes]:
    """Return unit and payload of a frame.

    Raises:
        ValueError: It is none, or its LRC is wrong.
    """
    body = bytes.fromhex(frame.strip().removeprefix(b":").decode("ascii"))
    if not frame.startswith(b":") or sum(body) & 0xFF:
        raise ValueError(f"no Modbus ASCII frame: {frame!r}")
    return body[0], body[1:-1]


@contextlib.asynccontextmanager
async def ascii_device(device: Device, *, sleeps_after_s: float | None = None) -> AsyncIterator[str]:
    """Serve a device and yield the path to open.

    Args:
        sleeps_after_s: A frame that comes later than this after the last one only wakes it.
    """
    master, slave = os.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    os.set_blocking(master, False)
    loop = asyncio.get_running_loop()
    buffer = b""
    heard_s = float("-inf")

    def readable() -> None:
        nonlocal buffer, heard_s
        with contextlib.suppress(BlockingIOError, OSError):
            buffer += os.read(master, 4096)
        *frames, buffer = buffer.split(b"\n")
        for frame in frames:
            unit, payload = decoded(frame + b"\n")
            is_asleep = sleeps_after_s is not None and loop.time() - heard_s > sleeps_after_s
            heard_s = loop.time()
            if is_asleep:
                continue
            for _, reply in device.sendings(unit, payload, 0):
                os.write(master, encoded(reply[0], reply[1:-2]))

    device.is_rtu = True  # Its own frames are turned into ASCII ones on the way out.
    loop.add_reader(master, readable)
    try:
        yield os.ttyname(slave)
    finally:
        loop.remove_reader(master)
        os.close(slave)
        os.close(master)
