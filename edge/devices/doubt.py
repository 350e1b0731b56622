"""Whether a device is read the wrong way: most of what has bounds cannot be. Pure.

One value that cannot be is a torn sample or a broken sensor, and is left out alone. Where most cannot be, the words are
in another order, or other registers lie there now: then no value of the device is believed, the possible ones among
them, and nothing is written to it.
"""

import struct
from collections.abc import Iterable

DOUBTS_MIN = 2
NO_MEASUREMENT = 1e-9  # No quantity is measured so finely: the words of a float stand in the other order.
SUBNORMAL_STEP = 2.0**-149  # Below 2**-126 a float counts these. Source: IEEE 754, binary32, subnormal numbers.
MEASURED_MIN, MEASURED_MAX = 1e-3, 1e9


def could_be(value: float, bounds: tuple[float, float]) -> bool | None:
    """Return whether a value could be; None from zero to the lower bound, as is read where nothing is connected."""
    if value == 0:
        return None
    if abs(value) < NO_MEASUREMENT:
        return False
    return None if 0 < value < bounds[0] else bounds[0] <= value <= bounds[1]


def has_turned_words(value: float) -> bool:
    """Return whether a value can only be a float whose words stand in the other order.

    A round value (1000 W) has zeros for its lower word. Read as the upper one, they leave some ten thousand steps of
    the least that a float can be. A filter in a device may end at a few of them, which turned about is nothing.
    """
    steps = abs(value) / SUBNORMAL_STEP
    if not 1 <= steps < 0x10000:
        return False
    turned: float = struct.unpack(">f", struct.pack(">I", int(steps) << 16))[0]
    return MEASURED_MIN <= abs(turned) <= MEASURED_MAX


def is_misread(verdicts: Iterable[bool | None]) -> bool:
    """Return whether most of the values that could speak for the map speak against it."""
    against = for_it = 0
    for verdict in verdicts:
        against += verdict is False
        for_it += verdict is True
    return against >= DOUBTS_MIN and against > for_it
