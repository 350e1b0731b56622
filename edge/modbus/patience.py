"""A read that is asked again where its refusal may pass: devices refuse what they have while they boot or are busy."""

import asyncio

from edge.errors import DeviceRefused
from edge.modbus.bus import Bus
from edge.modbus.pdu import ACKNOWLEDGE, BUSY, DEVICE_FAILURE, GATEWAY_PATH, GATEWAY_TARGET
from edge.modbus.point import Priority, Table

# Source: Modbus application protocol 1.1b3, 7. A gateway's target may have missed one request on a noisy line.
PASSING = (DEVICE_FAILURE, ACKNOWLEDGE, BUSY, GATEWAY_PATH, GATEWAY_TARGET)
GATEWAY = (GATEWAY_PATH, GATEWAY_TARGET)  # Said by what stands before the device: nobody behind it was reached.
TRIES = 3
WAIT_S = 0.3


async def read_patiently(
    bus: Bus, unit: int, table: Table, address: int, count: int, *, tries: int = TRIES
) -> tuple[int, ...]:
    """Return the words (or bits) of adjacent addresses, asked for up to ``tries`` times.

    Raises:
        NoReply: No usable answer came.
        DeviceRefused: The last refusal, or the first that says that there is no such register.
    """
    for left in range(tries - 1, -1, -1):
        try:
            return await bus.read(unit, table, address, count, priority=Priority.BACKGROUND)
        except DeviceRefused as refusal:
            if refusal.exception_code not in PASSING or not left:
                raise
        await asyncio.sleep(WAIT_S)
    raise AssertionError("the last try returns or raises")
