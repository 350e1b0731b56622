"""Find out which address of a merged block a device refuses, with few reads, and remember it.

A device answers exception 2 for a whole request when one address in it does not exist. The block is halved at a hole
(or, where there is none, between two points) until the halves are answered; what lay between two good halves is to
blame. What is refused by itself is missing for now.
"""

from collections.abc import Awaitable, Callable, Sequence

from edge.errors import DeviceRefused
from edge.modbus.learned import REFUSED_AGAIN_S, Learned
from edge.modbus.pdu import ILLEGAL_ADDRESS, ILLEGAL_VALUE
from edge.modbus.plan import Block
from edge.modbus.point import Range, Table

SPLITTABLE = frozenset({ILLEGAL_ADDRESS, ILLEGAL_VALUE})

Span = tuple[int, int]
ReadSpan = Callable[[int, int], Awaitable[Sequence[int]]]


async def read_apart(
    block: Block, *, read: ReadSpan, learned: Learned, again_s: float = REFUSED_AGAIN_S
) -> dict[int, int]:
    """Return what can be read of a block that was refused as a whole, and add to what is learned.

    Args:
        read: Reads so many values from an address; raises ``DeviceRefused``.
        again_s: After which time a point that is missing is worth a look again.
    """
    image: dict[int, int] = {}
    await _split(block.table, block.wanted, image, read, learned, again_s=again_s)
    return image


async def _split(
    table: Table, spans: Sequence[Span], image: dict[int, int], read: ReadSpan, learned: Learned, *, again_s: float
) -> None:
    cut = _cut(spans)
    if cut is None:
        wanted = Range(table=table, start=spans[0][0], end=max(end for _, end in spans))
        learned.add_missing(wanted, again_s=again_s)
        return
    before = learned.version
    upto, at = cut
    for half in ([span for span in spans if span[1] <= upto], [span for span in spans if span[0] >= at]):
        start, end = half[0][0], max(span[1] for span in half)
        try:
            words = await read(start, end - start)
        except DeviceRefused as refusal:
            if refusal.exception_code not in SPLITTABLE:
                raise
            await _split(table, half, image, read, learned, again_s=again_s)
        else:
            image.update(zip(range(start, end), words, strict=True))
    # Of no use to this request is not of no use at all: where others want all that lies between, it is not crossed.
    if learned.version == before and not learned.add_hole(Range(table=table, start=upto, end=at)):
        learned.add_barrier(table, at)


def _cut(spans: Sequence[Span]) -> Span | None:
    """Return where to halve: the middle hole, else the middle border between two points, else None."""
    holes: list[Span] = []
    borders: list[Span] = []
    reached = spans[0][1]
    for start, end in spans[1:]:
        if start > reached:
            holes.append((reached, start))
        elif start == reached:
            borders.append((reached, start))
        reached = max(reached, end)
    cuts = holes or borders
    return cuts[len(cuts) // 2] if cuts else None
