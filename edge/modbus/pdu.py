"""The payload of the requests and replies that the engine uses. Pure.

Source: Modbus application protocol 1.1b3, 6.1 to 6.6, 6.11, 6.12 and 7.
"""

import struct
from collections.abc import Sequence

from edge.modbus.encode import WRITE_COIL, WRITE_COILS, WRITE_REGISTER, WRITE_REGISTERS
from edge.modbus.point import Table

READ_FUNCTION = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
EXCEPTION_BIT = 0x80
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE, ACKNOWLEDGE, BUSY = 1, 2, 3, 4, 5, 6
GATEWAY_PATH, GATEWAY_TARGET = 0x0A, 0x0B
COIL_ON = 0xFF00

EXCEPTION_TEXT = {
    1: "illegal function",
    2: "illegal address",
    3: "illegal value",
    4: "device failure",
    5: "acknowledge, still working",
    6: "busy",
    10: "gateway path unavailable",
    11: "gateway target does not answer",
}

_ADDRESS_COUNT = struct.Struct(">BHH")


def exception_name(code: int) -> str:
    """Return what an exception code says."""
    return EXCEPTION_TEXT.get(code, "not a code of the protocol")


def read_request(table: Table, address: int, count: int) -> bytes:
    """Return the payload that asks for adjacent registers or bits."""
    return _ADDRESS_COUNT.pack(READ_FUNCTION[table], address, count)


def read_wanted(request: bytes) -> tuple[int, int, int]:
    """Return function, first address and count of the payload of a read."""
    return _ADDRESS_COUNT.unpack(request)


def read_reply_bytes(table: Table, count: int) -> int:
    """Return how long the payload of a good reply is."""
    return 2 + ((count + 7) // 8 if table.is_bits else 2 * count)


def read_values(table: Table, count: int, payload: bytes) -> tuple[int, ...] | None:
    """Return the words (or bits) of a reply, None where its own length contradicts the request."""
    if len(payload) != read_reply_bytes(table, count) or payload[1] != len(payload) - 2:
        return None
    if table.is_bits:
        return tuple(payload[2 + bit // 8] >> bit % 8 & 1 for bit in range(count))
    return struct.unpack_from(f">{count}H", payload, 2)


def read_reply(table: Table, values: Sequence[int]) -> bytes:
    """Return the payload of a good reply that holds these words (or bits)."""
    if table.is_bits:
        packed = sum(bool(value) << bit for bit, value in enumerate(values))
        data = packed.to_bytes((len(values) + 7) // 8, "little")
    else:
        data = struct.pack(f">{len(values)}H", *values)
    return bytes((READ_FUNCTION[table], len(data))) + data


def write_request(function: int, address: int, words: Sequence[int]) -> bytes:
    """Return the payload that sets adjacent registers or bits."""
    if function == WRITE_COIL:
        return _ADDRESS_COUNT.pack(function, address, COIL_ON if words[0] else 0)
    if function == WRITE_REGISTER:
        return _ADDRESS_COUNT.pack(function, address, words[0])
    if function == WRITE_REGISTERS:
        data = struct.pack(f">{len(words)}H", *words)
    else:
        assert function == WRITE_COILS, f"function {function} writes nothing"
        packed = sum(bool(word) << bit for bit, word in enumerate(words))
        data = packed.to_bytes((len(words) + 7) // 8, "little")
    return _ADDRESS_COUNT.pack(function, address, len(words)) + bytes((len(data),)) + data


def write_reply(request: bytes) -> bytes:
    """Return the payload with which a device confirms a write."""
    return request[:5]
