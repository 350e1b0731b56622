"""Open the connection that an endpoint names; the four ways look the same from above."""

import asyncio
import contextlib
import importlib
import socket
import ssl
from collections.abc import Callable

from pymodbus.transport.serialtransport import create_serial_connection

from contracts.reasons import reason_of
from edge.modbus.faults import Fault, NoReply
from edge.modbus.late_replies import LateReplies
from edge.modbus.url import Endpoint, Scheme
from edge.modbus.wire import Wire

CONNECT_TIMEOUT_S = 3.0  # One attempt each backoff step. Source: pysunspec2 takes 2 s, inverters up to 3 s.
_KEEPALIVE_IDLE_S = 30
_KEEPALIVE_INTERVAL_S = 10
_KEEPALIVE_PROBES = 3
# A serial port refuses its settings with a ValueError or, where there are terminals (not on Windows), one of theirs.
_REFUSALS: tuple[type[Exception], ...] = (OSError, ValueError)
with contextlib.suppress(ModuleNotFoundError):
    _REFUSALS += (importlib.import_module("termios").error,)


async def open_wire(endpoint: Endpoint, *, late_replies: LateReplies, on_lost: Callable[[Wire], None]) -> Wire:
    """Return an open connection; a host name is resolved anew each time.

    Raises:
        NoReply: The connection could not be opened (``Fault.UNCONNECTED``).
    """
    loop = asyncio.get_running_loop()
    wire = Wire(endpoint.scheme, late_replies=late_replies, on_lost=on_lost)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if endpoint.scheme.is_serial:
                await create_serial_connection(
                    loop,
                    lambda: wire,
                    endpoint.path,
                    baudrate=endpoint.baud,
                    bytesize=8,
                    parity=endpoint.parity,
                    stopbits=endpoint.stop_bits,
                    timeout=CONNECT_TIMEOUT_S,
                )
                await wire.opened.wait()
            else:
                context = _tls(endpoint) if endpoint.scheme is Scheme.TLS else None
                transport, _ = await loop.create_connection(lambda: wire, endpoint.host, endpoint.port, ssl=context)
                _tune(transport.get_extra_info("socket"))
    except TimeoutError:
        wire.close()
        message = f"{endpoint.bus} did not accept a connection within {CONNECT_TIMEOUT_S:.0f} s"
        raise NoReply(message, fault=Fault.UNCONNECTED) from None
    except _REFUSALS as error:
        raise NoReply(f"{endpoint.bus} cannot be opened: {reason_of(error)}", fault=Fault.UNCONNECTED) from error
    return wire


def _tune(connection: socket.socket | None) -> None:
    """Send small requests at once, and find a peer that is gone without a word."""
    if connection is None:
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", _KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", _KEEPALIVE_PROBES),
    ):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _tls(endpoint: Endpoint) -> ssl.SSLContext:
    """Return the context of Modbus/TCP Security: the device is verified, and we show our certificate if we have one."""
    context = ssl.create_default_context(cafile=endpoint.ca)
    if endpoint.cert:
        context.load_cert_chain(endpoint.cert, endpoint.key)
    return context
