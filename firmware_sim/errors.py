"""The tree of errors of the simulator.

SimulatorError
├── PlantError          the settings: whoever wrote the file must change it
├── PortTaken           the machine: another process listens there
└── ModbusRefused       the client: it is answered with an exception code
"""

from enum import IntEnum


class SimulatorError(Exception):
    """Something that the simulator cannot go on with."""


class PlantError(SimulatorError):
    """A plant, fault or dump file cannot be used as it is; waiting does not help."""


class PortTaken(SimulatorError):
    """An address cannot be listened on."""


class ExceptionCode(IntEnum):
    """Why a request is refused. Source: MODBUS Application Protocol 1.1b3, section 7."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_DATA_ADDRESS = 2
    ILLEGAL_DATA_VALUE = 3
    SERVER_DEVICE_FAILURE = 4
    ACKNOWLEDGE = 5
    SERVER_DEVICE_BUSY = 6
    GATEWAY_PATH_UNAVAILABLE = 10
    GATEWAY_TARGET_FAILED = 11


class ModbusRefused(SimulatorError):
    """A request is answered with an exception code instead of data."""

    def __init__(self, code: ExceptionCode) -> None:
        super().__init__(f"refused with exception {code.value}, {code.name.lower()}")
        self.code = code
