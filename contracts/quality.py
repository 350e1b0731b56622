"""How far a value may be trusted, from the register it was read from to the settlement that uses it."""

from enum import StrEnum


class Quality(StrEnum):
    """How far a value may be trusted. Source: IEC 61850-7-3, validity and source."""

    GOOD = "good"
    STALE = "stale"
    INVALID = "invalid"
    SUBSTITUTED = "substituted"
    # Only read, never sent: a word of a newer sender.
    UNKNOWN = "unknown"
