"""How long a new connection is left in peace: some devices are deaf for a second after it opens, some close it then."""

from edge.modbus.point import LinkLimits
from edge.modbus.wire import Wire

CUT = 4  # A pause in which the device closed the connection is this much shorter the next time,
CUTS_MAX = 3  # so many times.


class ConnectPause:
    """The pause of one bus; it grows shorter where the device does not bear it."""

    def __init__(self) -> None:
        self._cuts = 0

    def seconds(self, limits: LinkLimits) -> float:
        """Return the real seconds from the opening of a connection to the first request."""
        return limits.delay_after_connect_s / float(CUT**self._cuts)

    def was_too_long(self, wire: Wire) -> bool:
        """Return whether the device closed a connection because nothing came, and shorten the pause."""
        if wire.is_open or wire.has_sent or self._cuts == CUTS_MAX:
            return False
        self._cuts += 1
        return True
