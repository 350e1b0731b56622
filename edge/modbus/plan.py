"""Which requests read a set of points in the least bus time. Pure and exact.

Every point is an interval of addresses that one request should hold: its words, and where they fit its scale factor
and sign too. Sorted by start, an optimal cover groups neighbours: if two intervals were assigned the other way round,
one of them also fits the other's request at no cost. So dynamic programming over the sorted intervals finds the
optimum. Requests may overlap where a scale factor is shared by more values than fit in one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, inf

from edge.modbus.cost import CostModel, data_bytes
from edge.modbus.point import PRIORITY, Access, LinkLimits, Priority, RegisterPoint, Table

_COST_TOLERANCE_S = 1e-9  # Plans within a nanosecond are equal; the one with fewer requests wins.


@dataclass(frozen=True, kw_only=True)
class Block:
    """One read request, and the points that its reply completes.

    Args:
        wanted: Addresses of use in it, those of points that need other requests too included; sorted.
    """

    table: Table
    address: int
    count: int
    points: tuple[RegisterPoint, ...]
    names: tuple[str, ...]
    wanted: tuple[tuple[int, int], ...]
    priority: Priority

    @property
    def end(self) -> int:
        """Return the first address after the block."""
        return self.address + self.count

    @property
    def span(self) -> tuple[Table, int, int]:
        """Return what the request asks for, whatever for."""
        return self.table, self.address, self.count


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Requests in the order of their priority.

    Args:
        loose: Points that no single request can hold; they are complete when all requests are answered.
        unreadable: Points that lie in a forbidden range or cannot be read at all.
        lower_bound_s: No set of requests within ``max_registers`` can be faster, were every hole and border free.
    """

    blocks: tuple[Block, ...]
    loose: tuple[RegisterPoint, ...] = ()
    unreadable: tuple[RegisterPoint, ...] = ()
    registers: int
    predicted_s: float
    lower_bound_s: float

    def as_dict(self) -> dict[str, object]:
        """Return the plan as a page of numbers, times in ms."""
        return {
            "requests": [{"table": b.table.value, "address": b.address, "count": b.count} for b in self.blocks],
            "registers": self.registers,
            "predicted_ms": round(self.predicted_s * 1000, 3),
            "lower_bound_ms": round(self.lower_bound_s * 1000, 3),
        }


@dataclass(frozen=True)
class _Item:
    start: int
    end: int
    point: RegisterPoint
    whole: bool


@dataclass(frozen=True)
class _Borders:
    """What a request of one table must respect."""

    max_count: int
    barriers: tuple[int, ...]
    holes: tuple[tuple[int, int], ...]

    def allows(self, start: int, end: int) -> bool:
        """Return whether one request may hold these addresses."""
        return end <= self.reach(start)

    def reach(self, start: int) -> int:
        """Return the greatest end of a request that starts there."""
        reach = start + self.max_count
        for barrier in self.barriers:
            if start < barrier < reach:
                reach = barrier
        for hole_start, hole_end in self.holes:
            if start < hole_end and hole_start < reach:
                reach = hole_start
        return reach


def plan_reads(points: Iterable[RegisterPoint], *, limits: LinkLimits, cost: CostModel) -> Plan:
    """Return the requests with the least predicted bus time that read every point within the limits."""
    by_table: dict[Table, list[RegisterPoint]] = {}
    for point in points:
        by_table.setdefault(point.table, []).append(point)
    blocks: list[Block] = []
    loose: list[RegisterPoint] = []
    unreadable: list[RegisterPoint] = []
    lower_bound_s = 0.0
    for table, members in by_table.items():
        items, cannot = _items(table, members, limits)
        unreadable += cannot
        loose += dict.fromkeys(item.point for item in items if not item.whole)
        borders = _borders(table, [(item.start, item.end) for item in items], limits)
        blocks += _cover(table, items, borders, cost)
        lower_bound_s += _lower_bound_s(table, items, borders, cost)
    blocks.sort(key=lambda block: (block.priority, block.table, block.address))
    return Plan(
        blocks=tuple(blocks),
        loose=tuple(loose),
        unreadable=tuple(unreadable),
        registers=sum(block.count for block in blocks),
        predicted_s=sum(cost.request_s(block.table, block.count) for block in blocks),
        lower_bound_s=lower_bound_s,
    )


def _items(
    table: Table, points: Sequence[RegisterPoint], limits: LinkLimits
) -> tuple[list[_Item], list[RegisterPoint]]:
    """Return the intervals to cover, and the points that cannot be read."""
    wanted = [span for point in points for span in point.spans()]
    borders = _borders(table, wanted, limits)
    items: list[_Item] = []
    cannot: list[RegisterPoint] = []
    for point in points:
        if point.access is Access.WRITE:
            cannot.append(point)
            continue
        spans = point.spans()
        if point.parts and not all(_readable(span, borders) for span in spans[1:]):
            spans = spans[:1]
        start, end = min(span[0] for span in spans), max(span[1] for span in spans)
        if borders.allows(start, end):
            items.append(_Item(start, end, point, whole=True))
        elif all(_readable(span, borders) for span in spans):
            items += [
                _Item(at, min(at + borders.max_count, span_end), point, whole=False)
                for span_start, span_end in spans
                for at in range(span_start, span_end, borders.max_count)
            ]
        else:
            cannot.append(point)
    items.sort(key=lambda item: (item.start, item.end))
    return items, cannot


def _readable(span: tuple[int, int], borders: _Borders) -> bool:
    start, end = span
    return all(borders.allows(at, min(at + borders.max_count, end)) for at in range(start, end, borders.max_count))


def _borders(table: Table, wanted: Sequence[tuple[int, int]], limits: LinkLimits) -> _Borders:
    """Return the limits of a table; runs of unused addresses that are too long to bridge count as holes."""
    holes = [(hole.start, hole.end) for hole in limits.forbidden if hole.table is table]
    if limits.max_gap_registers is not None and not table.is_bits:
        reached = -1
        for start, end in sorted(wanted):
            if reached >= 0 and start - reached > limits.max_gap_registers:
                holes.append((reached, start))
            reached = max(reached, end)
    return _Borders(
        max_count=limits.max_bits if table.is_bits else limits.max_registers,
        barriers=tuple(limits.barriers.get(table, ())),
        holes=tuple(holes),
    )


def _cover(table: Table, items: Sequence[_Item], borders: _Borders, cost: CostModel) -> list[Block]:
    """Return the cheapest groups of neighbours: ``best[n]`` is the least cost of the first n intervals."""
    best = [0.0] + [inf] * len(items)
    requests = [0] * (len(items) + 1)
    cut = [0] * (len(items) + 1)
    fixed_s = cost.fixed_s
    for first in range(len(items)):
        start = end = items[first].start
        reach = borders.reach(start)
        for last in range(first, len(items)):
            end = max(end, items[last].end)
            if end > reach:
                break
            total_s = best[first] + fixed_s + cost.byte_s * data_bytes(table, end - start)
            gain_s = best[last + 1] - total_s
            if gain_s > _COST_TOLERANCE_S or (gain_s > -_COST_TOLERANCE_S and requests[first] + 1 < requests[last + 1]):
                best[last + 1], requests[last + 1], cut[last + 1] = total_s, requests[first] + 1, first
    blocks = []
    upto = len(items)
    while upto:
        blocks.append(_block(table, items[cut[upto] : upto]))
        upto = cut[upto]
    return blocks


def _block(table: Table, items: Sequence[_Item]) -> Block:
    start, end = items[0].start, max(item.end for item in items)
    points = tuple(item.point for item in items if item.whole)
    return Block(
        table=table,
        address=start,
        count=end - start,
        points=points,
        names=tuple(point.name for point in points),
        wanted=tuple(sorted({span for item in items for span in _spans(item)})),
        priority=min(PRIORITY[item.point.poll_class] for item in items),
    )


def _lower_bound_s(table: Table, items: Sequence[_Item], borders: _Borders, cost: CostModel) -> float:
    needed = len({address for item in items for address in _needed(item)})
    return ceil(needed / borders.max_count) * cost.fixed_s + cost.byte_s * data_bytes(table, needed)


def _needed(item: _Item) -> Iterable[int]:
    return (address for start, end in _spans(item) for address in range(start, end))


def _spans(item: _Item) -> list[tuple[int, int]]:
    """Return the addresses of use in an interval: not what lies between a value and its factor."""
    if not item.whole:
        return [(item.start, item.end)]
    return [(start, end) for start, end in item.point.spans() if item.start <= start and end <= item.end]
