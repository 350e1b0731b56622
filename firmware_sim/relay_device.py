"""The relay: eight contacts that switch loads of a site, as coils.

It keeps its contacts when its controller falls silent, as such relays do, and opens them when it loses its supply.
Source: KMTronic relay with Modbus, function codes 1 and 5 on coils from 0, as public drivers use it.
"""

from firmware_sim.bank import Table
from firmware_sim.driver import Driver
from firmware_sim.errors import ExceptionCode, ModbusRefused
from firmware_sim.plant_parts import COILS, Site


class Relay:
    """Coils 0 to 7; there are no registers."""

    def __init__(self, *, site: Site, driver: Driver) -> None:
        """Switch loads of a site."""
        self._site = site
        self._driver = driver

    def read_bits(self, table: Table, address: int, count: int) -> list[bool]:
        """Return contacts, true for closed."""
        self._check(table, address, count)
        return [self._site.coils[coil] for coil in range(address, address + count)]

    def write_bits(self, address: int, bits: list[bool]) -> None:
        """Switch contacts; the loads behind them follow at once."""
        self._check(Table.COIL, address, len(bits))
        self._driver.now_s()
        for coil, on in enumerate(bits, start=address):
            self._site.coils[coil] = on
        self._driver.plant.settle()

    def read_registers(self, table: Table, address: int, count: int) -> bytes:
        """Refuse: there are none."""
        raise ModbusRefused(ExceptionCode.ILLEGAL_FUNCTION)

    def write_registers(self, address: int, data: bytes) -> None:
        """Refuse: there are none."""
        raise ModbusRefused(ExceptionCode.ILLEGAL_FUNCTION)

    def reset(self) -> None:
        """Open every contact."""
        self.write_bits(0, [False] * COILS)

    def sentinels(self, table: Table, address: int, count: int) -> bytes:
        """Refuse: there are no registers."""
        raise ModbusRefused(ExceptionCode.ILLEGAL_FUNCTION)

    def flip_scales(self) -> None:
        """Keep everything: there are no scale factors."""

    def _check(self, table: Table, address: int, count: int) -> None:
        if table is not Table.COIL:
            raise ModbusRefused(ExceptionCode.ILLEGAL_FUNCTION)
        if address + count > COILS:
            raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_ADDRESS)
