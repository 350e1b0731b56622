"""Finds the smallest part of a schedule that still fails.

Source: Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, IEEE TSE 28(2), 2002: ddmin.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


async def smallest(
    items: Sequence[Item], fails: Callable[[Sequence[Item]], Awaitable[bool]], *, tries_max: int
) -> Sequence[Item]:
    """Return a part of the items that fails and of which, if the tries suffice, no chunk can be left out.

    Args:
        items: Of which the whole is known to fail.
        fails: Runs a part of them, in their order.
        tries_max: How often ``fails`` may be called.
    """
    parts, tries = 2, 0
    while items and tries < tries_max:
        size = max(1, len(items) // parts)
        for start in range(0, len(items), size):
            rest = [*items[:start], *items[start + size :]]
            tries += 1
            if await fails(rest):
                items, parts = rest, max(2, parts - 1)
                break
            if tries == tries_max:
                break
        else:
            if size == 1:
                break
            parts = min(len(items), parts * 2)
    return items
