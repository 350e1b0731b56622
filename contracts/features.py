"""What an operator may switch off while everything runs, by name; what is not named is on.

A switch takes away and never adds: with all of them off the system is one that less is known to, and as safe.
"""

from enum import StrEnum
from typing import Final

FEATURES_MAX: Final = 32  # In a message; names that a gateway does not know are of a later cloud.


class Feature(StrEnum):
    """The switches, and who reads each of them."""

    WEATHER = "weather"  # The cloud's forecasts use what the zone's provider tells; off: the sun's path and the past.
    PLANS = "plans"  # Gateways follow their plans; off: storage serves the site alone (self-consumption).
