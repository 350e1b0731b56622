"""What a server needs of a device: four tables that are read and written, or a refusal.

Registers travel as bytes, most significant byte first, so that a read is a slice.
"""

from enum import StrEnum
from typing import Protocol

from firmware_sim.errors import ExceptionCode, ModbusRefused


class Table(StrEnum):
    """The four tables of Modbus."""

    COIL = "coil"
    DISCRETE = "discrete"
    HOLDING = "holding"
    INPUT = "input"


class Bank(Protocol):
    """One device behind one unit id."""

    def read_registers(self, table: Table, address: int, count: int) -> bytes:
        """Return ``count`` registers as bytes.

        Raises:
            ModbusRefused: The table or a register of the range does not exist.
        """

    def write_registers(self, address: int, data: bytes) -> None:
        """Write holding registers, all or none.

        Raises:
            ModbusRefused: A register does not exist, cannot be written or does not take the value.
        """

    def read_bits(self, table: Table, address: int, count: int) -> list[bool]:
        """Return coils or discrete inputs.

        Raises:
            ModbusRefused: The table or a bit of the range does not exist.
        """

    def write_bits(self, address: int, bits: list[bool]) -> None:
        """Write coils, all or none.

        Raises:
            ModbusRefused: A coil does not exist or cannot be written.
        """

    def reset(self) -> None:
        """Forget what was written, as a device does that loses its supply."""

    def sentinels(self, table: Table, address: int, count: int) -> bytes:
        """Return registers as they read while the device has no values."""

    def flip_scales(self) -> None:
        """Change the scale factors, if the device has any, and the values with them; and back the next time."""


class ShortReads:
    """A device that refuses to hand out more than so many registers at once."""

    def __init__(self, bank: Bank, registers_max: int) -> None:
        """Stand before another device."""
        self._bank = bank
        self._registers_max = registers_max

    def read_registers(self, table: Table, address: int, count: int) -> bytes:
        """Read, or refuse a request that is too long."""
        if count > self._registers_max:
            raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_VALUE)
        return self._bank.read_registers(table, address, count)

    def write_registers(self, address: int, data: bytes) -> None:
        """Write."""
        self._bank.write_registers(address, data)

    def read_bits(self, table: Table, address: int, count: int) -> list[bool]:
        """Read bits."""
        return self._bank.read_bits(table, address, count)

    def write_bits(self, address: int, bits: list[bool]) -> None:
        """Write bits."""
        self._bank.write_bits(address, bits)

    def reset(self) -> None:
        """Forget what was written."""
        self._bank.reset()

    def sentinels(self, table: Table, address: int, count: int) -> bytes:
        """Return registers without values."""
        return self._bank.sentinels(table, address, count)

    def flip_scales(self) -> None:
        """Change the scale factors."""
        self._bank.flip_scales()


class NoBits:
    """A device without coils and discrete inputs, and without scale factors."""

    def sentinels(self, table: Table, address: int, count: int) -> bytes:
        """Return all ones, the commonest pattern for a missing value."""
        return b"\xff\xff" * count

    def flip_scales(self) -> None:
        """Keep everything: there are no scale factors."""

    def read_bits(self, table: Table, address: int, count: int) -> list[bool]:
        """Refuse: there are none."""
        raise ModbusRefused(ExceptionCode.ILLEGAL_FUNCTION)

    def write_bits(self, address: int, bits: list[bool]) -> None:
        """Refuse: there are none."""
        raise ModbusRefused(ExceptionCode.ILLEGAL_FUNCTION)


class ReadOnly(NoBits):
    """A device that takes no orders and forgets nothing."""

    def write_registers(self, address: int, data: bytes) -> None:
        """Refuse: nothing can be written."""
        raise ModbusRefused(ExceptionCode.ILLEGAL_FUNCTION)

    def reset(self) -> None:
        """Keep everything: what a meter counts outlives its supply."""
