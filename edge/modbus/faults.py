"""Why a request got no usable answer."""

from enum import StrEnum

from edge.errors import DeviceSilent


class Fault(StrEnum):
    """What went wrong on the wire."""

    TIMEOUT = "timeout"  # Nothing usable came in time.
    MISMATCH = "mismatch"  # A reply came, but not to this request: transaction, unit or function differ.
    LENGTH = "length"  # The reply to this request holds more or fewer values than were asked for.
    FRAMING = "framing"  # Bytes came that are no frame: checksum, protocol, leftovers.
    LOST = "lost"  # The connection broke.
    UNCONNECTED = "unconnected"  # There is no connection now.
    WAITING = "waiting"  # The device is silent and its next probe is not due yet; nothing was sent.


class NoReply(DeviceSilent):
    """No usable answer came; says which fault it was."""

    def __init__(self, message: str, *, fault: Fault) -> None:
        super().__init__(message)
        self.fault = fault
