"""Whether a device is read the wrong way: most of what has bounds cannot be. Pure.

One value that cannot be is a torn sample or a broken sensor, and is left out alone. Where most cannot be, the words are
in another order, or other registers lie there now: then no value of the device is believed, the possible ones among
them, and nothing is written to it.
"""

from collections.abc import Iterable

DOUBTS_MIN = 2
NO_MEASUREMENT = 1e-9  # No quantity is measured so finely: the words of a float stand in the other order.
SMALLEST_FLOAT = 2.0**-126  # What is less has an exponent of zero. Source: IEEE 754, binary32, subnormal numbers.


def could_be(value: float, bounds: tuple[float, float]) -> bool | None:
    """Return whether a value could be; None from zero to the lower bound, as is read where nothing is connected."""
    if value == 0:
        return None
    if abs(value) < NO_MEASUREMENT:
        return False
    return None if 0 < value < bounds[0] else bounds[0] <= value <= bounds[1]


def has_turned_words(value: float) -> bool:
    """Return whether a value can only be a float whose words stand in the other order.

    A round value (1000 W) has zeros for its lower word. Read as the upper one, they are an exponent of zero, and no
    device computes so small a value.
    """
    return 0 < abs(value) < SMALLEST_FLOAT


def is_misread(verdicts: Iterable[bool | None]) -> bool:
    """Return whether most of the values that could speak for the map speak against it."""
    against = for_it = 0
    for verdict in verdicts:
        against += verdict is False
        for_it += verdict is True
    return against >= DOUBTS_MIN and against > for_it
