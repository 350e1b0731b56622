"""Modbus requests answered: the protocol between framing and bank.

Source: MODBUS Application Protocol Specification V1.1b3, section 6.
"""

import struct

from firmware_sim.bank import Bank, Table
from firmware_sim.errors import ExceptionCode, ModbusRefused

READ_COILS = 1
READ_DISCRETE = 2
READ_HOLDING = 3
READ_INPUT = 4
WRITE_COIL = 5
WRITE_REGISTER = 6
WRITE_COILS = 15
WRITE_REGISTERS = 16

READ_REGISTERS_MAX = 125
WRITE_REGISTERS_MAX = 123
READ_BITS_MAX = 2000
WRITE_BITS_MAX = 1968
PDU_BYTES_MAX = 253

WRITES = frozenset({WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS})
_COIL_STATES = {0x0000: False, 0xFF00: True}
_TWO_WORDS = struct.Struct(">HH")
_ADDRESSES = 0x10000


def answer(bank: Bank, request: bytes) -> bytes:
    """Return the response PDU to a request PDU; a refusal is an exception response."""
    try:
        return _answer(bank, request)
    except ModbusRefused as refusal:
        return exception_response(request[0], refusal.code)


def exception_response(function: int, code: ExceptionCode) -> bytes:
    """Return the PDU that refuses a function."""
    return bytes((function | 0x80, code))


def _answer(bank: Bank, request: bytes) -> bytes:
    function = request[0]
    if function in (READ_HOLDING, READ_INPUT):
        address, count = _two_words(request, exact=True)
        _check_range(address, count, READ_REGISTERS_MAX)
        table = Table.HOLDING if function == READ_HOLDING else Table.INPUT
        return bytes((function, 2 * count)) + bank.read_registers(table, address, count)
    if function == WRITE_REGISTERS:
        address, count = _two_words(request)
        _check_range(address, count, WRITE_REGISTERS_MAX)
        _check_body(request, 2 * count)
        bank.write_registers(address, request[6:])
        return request[:5]
    if function == WRITE_REGISTER:
        address, _ = _two_words(request, exact=True)
        bank.write_registers(address, request[3:5])
        return request
    if function in (READ_COILS, READ_DISCRETE):
        address, count = _two_words(request, exact=True)
        _check_range(address, count, READ_BITS_MAX)
        data = _pack(bank.read_bits(Table.COIL if function == READ_COILS else Table.DISCRETE, address, count))
        return bytes((function, len(data))) + data
    if function == WRITE_COIL:
        address, state = _two_words(request, exact=True)
        if state not in _COIL_STATES:
            raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_VALUE)
        bank.write_bits(address, [_COIL_STATES[state]])
        return request
    if function == WRITE_COILS:
        address, count = _two_words(request)
        _check_range(address, count, WRITE_BITS_MAX)
        _check_body(request, (count + 7) // 8)
        bank.write_bits(address, [bool(request[6 + bit // 8] >> bit % 8 & 1) for bit in range(count)])
        return request[:5]
    raise ModbusRefused(ExceptionCode.ILLEGAL_FUNCTION)


def _two_words(request: bytes, *, exact: bool = False) -> tuple[int, int]:
    """Return the two words after the function code, refusing a request that is too short or, if exact, too long."""
    if len(request) < 5 or (exact and len(request) != 5):
        raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_VALUE)
    first, second = _TWO_WORDS.unpack_from(request, 1)
    return first, second


def _check_range(address: int, count: int, count_max: int) -> None:
    if not 1 <= count <= count_max:
        raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_VALUE)
    if address + count > _ADDRESSES:
        raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_ADDRESS)


def _check_body(request: bytes, size: int) -> None:
    if len(request) != 6 + size or request[5] != size:
        raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_VALUE)


def _pack(bits: list[bool]) -> bytes:
    data = bytearray((len(bits) + 7) // 8)
    for index, bit in enumerate(bits):
        if bit:
            data[index // 8] |= 1 << index % 8
    return bytes(data)
