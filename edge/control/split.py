"""Share a total power among levers, never beyond the range of any."""

from collections.abc import Sequence

from edge.control.model import Interval


def split(total_w: float, ranges: Sequence[Interval], *, ranks: Sequence[float] | None = None) -> tuple[float, ...]:
    """Return one power per range; they add up to the total where the ranges together allow it, else to the nearest end.

    Every lever starts as near to rest as its range allows. The missing power is taken from the highest rank first,
    within one rank in proportion to the room that each has left.

    Args:
        total_w: The sum wanted.
        ranges: Finite range of each lever.
        ranks: Higher is used first, for example an efficiency; all alike when absent.
    """
    powers = [interval.clamp(0.0) for interval in ranges]
    missing_w = total_w - sum(powers)
    order = [0.0] * len(powers) if ranks is None else list(ranks)
    for rank in sorted(set(order), reverse=True):
        members = [index for index, own in enumerate(order) if own == rank]
        rooms = [
            ranges[index].max_w - powers[index] if missing_w > 0 else powers[index] - ranges[index].min_w
            for index in members
        ]
        room_w = sum(rooms)
        if room_w <= 0 or missing_w == 0:
            continue
        share = min(1.0, abs(missing_w) / room_w)
        sign = 1.0 if missing_w > 0 else -1.0
        for index, own_room_w in zip(members, rooms, strict=True):
            # A share of one ends exactly at the range, not one rounding beside it.
            moved_w = powers[index] + sign * own_room_w * share
            powers[index] = ranges[index].clamp(moved_w)
        missing_w -= sign * room_w * share
    return tuple(powers)
