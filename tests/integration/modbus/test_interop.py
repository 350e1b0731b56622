"""Servers written by others are read and written as our own test device is."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from contracts.clock import SystemClock
from edge.errors import DeviceRefused
from edge.modbus.bus import Bus
from edge.modbus.point import DataType, RegisterPoint, Table
from edge.modbus.poller import Poller
from tests.support.modbus.foreign import libmodbus_rtu, libmodbus_tcp, modbustk_rtu, pymodbustcp


@pytest.mark.filterwarnings("ignore:isSet:DeprecationWarning")  # Of modbus-tk.
@pytest.mark.parametrize("serve", [libmodbus_tcp, libmodbus_rtu, pymodbustcp, modbustk_rtu])
async def test_a_foreign_server_is_read_and_written(serve: Callable[[], AbstractAsyncContextManager[str]]) -> None:
    """An engine that only understands its own test device understands nothing."""
    async with serve() as url, Bus(url) as bus:
        assert await bus.read(1, Table.HOLDING, 10, 3) == (70, 77, 84)
        assert await bus.read(1, Table.HOLDING, 0, 120) == tuple(at * 7 for at in range(120))
        assert await bus.read(1, Table.INPUT, 10, 2) == (110, 121)
        assert await bus.read(1, Table.DISCRETE, 0, 11) == (0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0)
        await bus.write(1, Table.HOLDING, 5, (1234,))
        await bus.write(1, Table.HOLDING, 6, (0xFFFF, 0xFFFE))
        await bus.write(1, Table.COIL, 3, (1,))
        await bus.write(1, Table.COIL, 4, (1, 0, 1))
        assert await bus.read(1, Table.COIL, 2, 5) == (0, 1, 1, 0, 1)
        poller = Poller(
            bus,
            1,
            [
                RegisterPoint(name="one", address=5),
                RegisterPoint(name="two", address=6, count=2, data_type=DataType.INT32),
            ],
            clock=SystemClock(),
        )
        assert {name: reading.value for name, reading in (await poller.read(["one", "two"])).items()} == {
            "one": 1234,
            "two": -2,
        }
        if serve is not pymodbustcp:  # Its bank holds all 65536 addresses.
            with pytest.raises(DeviceRefused) as refusal:
                await bus.read(1, Table.HOLDING, 199, 2)
            assert refusal.value.exception_code == 2
