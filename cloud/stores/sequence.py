"""Which messages of a channel have come: proves what was stored, repeated and lost.

A gateway numbers the messages of each channel from 1, without gaps, within an epoch (the life of one journal). Whatever
lies below the highest number and has not come is lost, or still on its way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

# A gateway sends in order, so there is one range, or one more for each hole that is still open.
RANGES_MAX: Final = 64


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The numbers of one (site, channel, epoch), as closed ranges in rising order.

    ``abandoned`` counts the numbers in holes that were given up because there were more than ``RANGES_MAX`` ranges;
    they count as lost for good.
    """

    ranges: tuple[tuple[int, int], ...] = ()
    duplicated: int = 0
    abandoned: int = 0

    @classmethod
    def from_body(cls, body: Mapping[str, Any] | None) -> Self:
        """Read back what ``body`` wrote; nothing written means that nothing has come."""
        if body is None:
            return cls()
        return cls(
            ranges=tuple((low, high) for low, high in body["ranges"]),
            duplicated=body["duplicated"],
            abandoned=body["abandoned"],
        )

    def body(self) -> dict[str, Any]:
        """Return the form in which a table keeps it."""
        return {
            "ranges": [list(pair) for pair in self.ranges],
            "duplicated": self.duplicated,
            "abandoned": self.abandoned,
        }

    @property
    def highest(self) -> int:
        """Return the highest number that has come, 0 before the first: what the gateway is known to have sent."""
        return self.ranges[-1][1] if self.ranges else 0

    @property
    def stored(self) -> int:
        """Return how many different messages have come."""
        return sum(high - low + 1 for low, high in self.ranges) - self.abandoned

    @property
    def lost(self) -> int:
        """Return how many numbers below the highest have not come."""
        return self.highest - self.stored

    def __contains__(self, seq: int) -> bool:
        return any(low <= seq <= high for low, high in self.ranges)

    def covers(self, low: int, high: int) -> bool:
        """Return whether every number from one to another has come; of no numbers at all, all have."""
        return low > high or any(first <= low and high <= last for first, last in self.ranges)

    def with_repeat(self) -> "Seen":
        """Return the state after a message that had come before."""
        return Seen(ranges=self.ranges, duplicated=self.duplicated + 1, abandoned=self.abandoned)

    def with_new(self, seq: int) -> "Seen":
        """Return the state after a message that had not come before."""
        assert seq >= 1 and seq not in self, f"message {seq} was not new"
        merged: list[tuple[int, int]] = []
        for low, high in sorted([*self.ranges, (seq, seq)]):
            if merged and low == merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], high)
            else:
                merged.append((low, high))
        abandoned = self.abandoned
        while len(merged) > RANGES_MAX:
            (low, end), (begin, high) = merged[0], merged[1]
            abandoned += begin - end - 1
            merged[:2] = [(low, high)]
        return Seen(ranges=tuple(merged), duplicated=self.duplicated, abandoned=abandoned)
