"""Answers that may still come on a line without transaction ids, and reads that none of them can pass for.

Unit, function and length are all that such an answer says about its request. While one may still come, in whatever
turn, the same registers are read together with a neighbour: that answer is longer, so the two are told apart. Where
the device bears no neighbour the read waits until the lost answer is too old to come.
"""

from collections.abc import Iterator

from edge.modbus.point import LinkLimits, Table

LATE_TIMEOUTS = 10  # So many timeouts after a lost answer it may come.
LATE_S_MAX = 8.0  # And no longer, so that a device that must be waited for is read again within 10 s.
ADDRESSES = 0x10000
SHAPES_MAX = 256  # Of lost answers that are remembered; the first to grow old is forgotten first.
WIDER_STEPS_MAX = 8  # Registers more than wanted, or bytes of bits. A unit that lost more answers is waited for.


class LateReplies:
    """What was asked on one line and may still be answered. Times are the event loop's, real seconds."""

    def __init__(self) -> None:
        self._until_s: dict[tuple[int, int, int], float] = {}

    def add(self, unit: int, function: int, reply_bytes: int, *, now_s: float, timeout_s: float) -> None:
        """Take note that nobody waits any more for an answer of that length."""
        shape = unit, function, reply_bytes
        until_s = now_s + min(LATE_TIMEOUTS * timeout_s, LATE_S_MAX)
        self._until_s[shape] = max(self._until_s.get(shape, 0.0), until_s)
        if len(self._until_s) > SHAPES_MAX:
            del self._until_s[min(self._until_s, key=self._until_s.__getitem__)]

    def until_s(self, unit: int, function: int, reply_bytes: int, *, now_s: float) -> float | None:
        """Return until when such an answer may come; None where none is to be feared."""
        if not self._until_s:
            return None
        shape = unit, function, reply_bytes
        until_s = self._until_s.get(shape)
        if until_s is not None and until_s <= now_s:
            del self._until_s[shape]
            return None
        return until_s

    def is_feared(self, function: int, reply_bytes: int, *, now_s: float) -> bool:
        """Return whether an answer like this may still come from any unit."""
        return any(
            (asked, length) == (function, reply_bytes) and until_s > now_s
            for (_, asked, length), until_s in self._until_s.items()
        )


def wider_reads(table: Table, address: int, count: int, limits: LinkLimits) -> Iterator[tuple[int, int]]:
    """Yield first addresses and counts of reads that hold these and a few neighbours, within the limits."""
    if limits.max_gap_registers == 0:
        return
    step = 8 if table.is_bits else 1
    most = limits.max_bits if table.is_bits else limits.max_registers
    for more in range(step, step * WIDER_STEPS_MAX + 1, step):
        for start in (address, address - more):
            wide = count + more
            if (
                wide <= most
                and start >= 0
                and start + wide <= ADDRESSES
                and _allowed(table, start, start + wide, limits)
            ):
                yield start, wide


def _allowed(table: Table, start: int, end: int, limits: LinkLimits) -> bool:
    return not any(start < barrier < end for barrier in limits.barriers.get(table, ())) and not any(
        hole.table is table and start < hole.end and hole.start < end for hole in limits.forbidden
    )
