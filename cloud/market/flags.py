"""Why someone should look at a baseline before it is paid on; what names them needs none of what reckons them."""

from collections.abc import Sequence
from enum import StrEnum


class Flag(StrEnum):
    """What is odd about a baseline."""

    HIGH_ADJUSTMENT_LOAD = "high-adjustment-load"
    ABOVE_CONNECTION = "above-connection"
    FEW_DAYS = "few-days"
    CAPPED = "capped"
    UNADJUSTED = "unadjusted"
    FIXED_CLOCK = "fixed-clock"


def unknown_flags(names: Sequence[str]) -> tuple[str, ...]:
    """Return what a person wrote as a flag and is none."""
    return tuple(name for name in names if name not in set(Flag))
