"""What a device refused although we want it: which of it is worth a look again, and when.

A device that boots, sleeps or waits for its battery answers "illegal address" for what it has a minute later. Looks are
rare and small, so that what it never had costs next to nothing.
"""

from collections.abc import Callable
from math import inf

from edge.modbus.learned import REFUSED_AGAIN_S, Learned
from edge.modbus.plan import Block
from edge.modbus.point import Range


class Unavailable:
    """The order of the looks at one unit. Instants are of any one monotonic clock."""

    def __init__(self, learned: Learned) -> None:
        self._learned = learned
        self._next_s = {True: -inf, False: -inf}
        self._looked_s: dict[Range, float] = {}
        self._was_there: set[Range] = set()

    def note(self, block: Block, *, had: Callable[[str], bool], now_s: float) -> None:
        """Take note of what is missing of a block that was just refused.

        Args:
            had: Whether a point had a good value the last time.
        """
        for wanted in self._learned.missing:
            if wanted.table is not block.table or not block.address <= wanted.start < block.end:
                continue
            self._looked_s[wanted] = now_s
            for point in block.points:
                if any(start < wanted.end and wanted.start < end for start, end in point.spans()) and had(point.name):
                    self._was_there.add(wanted)

    def due(self, now_s: float) -> Range | None:
        """Return what is to be looked at now: in ``REFUSED_AGAIN_S`` one thing that had been there, and one other."""
        for was_there in (True, False):
            if now_s < self._next_s[was_there]:
                continue
            due = [
                one
                for one, again_s in self._learned.missing.items()
                if (one in self._was_there) is was_there and now_s - self._looked(one) >= again_s
            ]
            if due:
                wanted = min(due, key=self._looked)
                self._looked_s[wanted], self._next_s[was_there] = now_s, now_s + REFUSED_AGAIN_S
                return wanted
        return None

    def _looked(self, wanted: Range) -> float:
        return self._looked_s.get(wanted, -inf)
