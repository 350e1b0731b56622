"""What a spoilt answer holds: registers blanked, replaced, left out or without values. Pure but for the bank's own."""

from collections.abc import Sequence

from firmware_sim.bank import Bank, Table
from firmware_sim.errors import ModbusRefused
from firmware_sim.fault_rules import FaultKind, FaultRule
from firmware_sim.pdu import READ_HOLDING, READ_INPUT, WRITE_COIL, WRITE_REGISTER, answer

_EXCEPTION_BIT = 0x80
_DATA = 2  # Bytes of a read's answer before its registers: function and byte count.


def span_of(request: bytes) -> tuple[int, int]:
    """Return the first address of a request and how many follow from there."""
    if len(request) < 5:
        return 0, 0
    address = int.from_bytes(request[1:3], "big")
    single = request[0] in (WRITE_COIL, WRITE_REGISTER)
    return address, 1 if single else int.from_bytes(request[3:5], "big")


def touches(rule: FaultRule, request: bytes) -> bool:
    """Return whether a request reaches into the addresses of a rule; a hole is one for reads of registers alone."""
    if rule.kind is FaultKind.HOLE and request[0] not in (READ_HOLDING, READ_INPUT):
        return False
    address, count = span_of(request)
    reach = len(rule.values) if rule.kind is FaultKind.VALUES else rule.count
    return rule.address is not None and address < rule.address + reach and rule.address < address + count


def with_values(rule: FaultRule, request: bytes, reply: bytes) -> bytes:
    """Return the answer with the rule's values in its registers; a refusal stays one."""
    assert rule.address is not None, "the rule was checked when it was read"
    return _replaced(reply, request, dict(enumerate(rule.values, rule.address)))


def with_zeros(rule: FaultRule, request: bytes, reply: bytes) -> bytes:
    """Return the answer with zeros in the registers of the rule, or in all; a refusal stays one."""
    first, count = span_of(request) if rule.address is None else (rule.address, rule.count)
    return _replaced(reply, request, dict.fromkeys(range(first, first + count), 0))


def one_fewer(reply: bytes) -> bytes:
    """Return the answer to a read without its last register; a refusal stays one."""
    if reply[0] & _EXCEPTION_BIT or len(reply) < _DATA + 2:
        return reply
    return bytes((reply[0], reply[1] - 2)) + reply[_DATA:-2]


def without_values(bank: Bank, request: bytes) -> bytes:
    """Return the answer to a register read in which no point has a value; a refusal stays one."""
    reply = answer(bank, request)
    if reply[0] & _EXCEPTION_BIT:
        return reply
    table = Table.HOLDING if request[0] == READ_HOLDING else Table.INPUT
    address, count = span_of(request)
    return reply[:_DATA] + bank.sentinels(table, address, count)


def foreign_write(bank: Bank, address: int, values: Sequence[int]) -> None:
    """Write as another master on the bus would; that the device refuses is the other master's business."""
    try:
        bank.write_registers(address, b"".join(value.to_bytes(2, "big") for value in values))
    except ModbusRefused:
        return


def _replaced(reply: bytes, request: bytes, words: dict[int, int]) -> bytes:
    if reply[0] & _EXCEPTION_BIT:
        return reply
    data = bytearray(reply)
    address, count = span_of(request)
    for number in range(count):
        if address + number in words:
            data[_DATA + 2 * number : _DATA + 2 * number + 2] = words[address + number].to_bytes(2, "big")
    return bytes(data)
