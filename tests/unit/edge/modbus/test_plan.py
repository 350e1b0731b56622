"""Read plans: nothing forbidden, nothing missing, and no plan is cheaper."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.modbus.cost import CostModel, cost_of, rtu_cost, tcp_cost
from edge.modbus.plan import Plan, plan_reads
from edge.modbus.point import Access, DataType, LinkLimits, PollClass, Priority, Range, RegisterPoint, Table
from edge.modbus.url import parse_url

Spans = list[tuple[int, int]]


def points_at(spans: Spans, table: Table = Table.HOLDING) -> list[RegisterPoint]:
    return [
        RegisterPoint(name=f"p{at}", table=table, address=start, count=end - start)
        for at, (start, end) in enumerate(spans)
    ]


def requests(plan: Plan) -> list[tuple[int, int]]:
    return sorted((block.address, block.count) for block in plan.blocks)


def cheapest_s(spans: Spans, limits: LinkLimits, cost: CostModel, holes: Spans) -> float:
    """Return the least cost over all ways to cut the sorted spans into runs; the independent witness."""
    ordered = sorted(spans)
    best = float("inf")
    for mask in range(1 << (len(ordered) - 1)):
        groups = [[ordered[0]]]
        for at, span in enumerate(ordered[1:]):
            if mask >> at & 1:
                groups.append([span])
            else:
                groups[-1].append(span)
        total_s = 0.0
        for group in groups:
            start, end = group[0][0], max(span[1] for span in group)
            crosses = any(start < barrier < end for barrier in limits.barriers.get(Table.HOLDING, ()))
            touches = any(start < hole_end and hole_start < end for hole_start, hole_end in holes)
            if end - start > limits.max_registers or crosses or touches:
                break
            total_s += cost.request_s(Table.HOLDING, end - start)
        else:
            best = min(best, total_s)
    return best


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 160), st.integers(1, 4)), min_size=1, max_size=9),
    st.sampled_from([rtu_cost(baud=9600), rtu_cost(baud=19200, turnaround_s=0.0), tcp_cost()]),
    st.integers(4, 125),
    st.sets(st.integers(1, 160), max_size=2),
    st.lists(st.integers(0, 160), max_size=2),
)
def test_no_way_to_cut_the_points_is_cheaper(
    raw: list[tuple[int, int]], cost: CostModel, most: int, barriers: set[int], forbidden: list[int]
) -> None:
    """Exact, not greedy: half of an RTU line's time is what a wrong cut costs."""
    blocked = set(forbidden)
    spans = [
        (start, start + count)
        for start, count in raw
        if not blocked & set(range(start, start + count)) and not any(start < at < start + count for at in barriers)
    ]
    if not spans:
        return
    holes = [(at, at + 1) for at in blocked]
    limits = LinkLimits(
        max_registers=most,
        barriers={Table.HOLDING: tuple(barriers)},
        forbidden=tuple(Range(table=Table.HOLDING, start=at, end=at + 1) for at in blocked),
    )
    plan = plan_reads(points_at(spans), limits=limits, cost=cost)
    assert plan.predicted_s == pytest.approx(cheapest_s(spans, limits, cost, holes))
    assert plan.lower_bound_s <= plan.predicted_s + 1e-9
    covered = {at for start, count in requests(plan) for at in range(start, start + count)}
    assert {at for start, end in spans for at in range(start, end)} <= covered
    assert not covered & blocked
    assert not plan.unreadable


def test_holes_are_bridged_exactly_as_far_as_the_line_makes_it_cheaper() -> None:
    """The table of the cost model: 10, 23 and 53 registers at 9600 baud for 0, 30 and 100 ms of turnaround."""
    for turnaround_s, bridged in ((0.0, 10), (0.030, 23), (0.100, 53)):
        cost = rtu_cost(baud=9600, turnaround_s=turnaround_s)
        for hole, wanted in ((bridged - 1, 1), (bridged + 2, 2)):
            plan = plan_reads(points_at([(0, 1), (1 + hole, 2 + hole)]), limits=LinkLimits(), cost=cost)
            assert len(plan.blocks) == wanted, (turnaround_s, hole)


def test_a_value_and_its_scale_factor_share_a_request_where_they_fit() -> None:
    """A factor that changes between two requests would give a wrong value."""
    points = [
        RegisterPoint(name=f"w{at}", address=at, scale_register=150, data_type=DataType.INT16)
        for at in (40, 80, 120, 145)
    ] + points_at([(0, 2)])
    plan = plan_reads(points, limits=LinkLimits(), cost=rtu_cost(baud=9600, turnaround_s=0.0))
    assert not plan.loose
    for block in plan.blocks:
        for point in block.points:
            assert all(block.address <= start and end <= block.end for start, end in point.spans())
    apart = plan_reads(points, limits=LinkLimits(max_registers=40), cost=tcp_cost())
    assert {point.name for point in apart.loose} == {"w40", "w80"}
    assert not apart.unreadable


def test_limits_of_a_profile_are_kept() -> None:
    """Some devices crash on a hole, some answer at most eleven registers."""
    spans: Spans = [(0, 2), (4, 6), (10, 12), (30, 32)]
    gap = plan_reads(points_at(spans), limits=LinkLimits(max_gap_registers=3), cost=tcp_cost())
    assert requests(gap) == [(0, 6), (10, 2), (30, 2)]
    short = plan_reads(points_at([(0, 30)]), limits=LinkLimits(max_registers=11), cost=tcp_cost())
    assert requests(short) == [(0, 11), (11, 11), (22, 8)]
    assert [point.name for point in short.loose] == ["p0"]
    hole = LinkLimits(forbidden=(Range(table=Table.HOLDING, start=4, end=5),))
    assert [point.name for point in plan_reads(points_at(spans), limits=hole, cost=tcp_cost()).unreadable] == ["p1"]
    bits = plan_reads(points_at([(0, 1), (1500, 1501)], Table.COIL), limits=LinkLimits(), cost=tcp_cost())
    assert [(block.table, block.count) for block in bits.blocks] == [(Table.COIL, 1501)]


def test_a_split_value_is_read_without_its_other_word_where_that_is_illegal() -> None:
    """Old firmware has no high word; the low one is still worth reading."""
    point = RegisterPoint(name="grid", address=625, data_type=DataType.INT16, parts=(690, 625))
    limits = LinkLimits(forbidden=(Range(table=Table.HOLDING, start=690, end=691),))
    assert requests(plan_reads([point], limits=limits, cost=tcp_cost())) == [(625, 1)]
    assert requests(plan_reads([point], limits=LinkLimits(), cost=tcp_cost())) == [(625, 66)]


def test_urgent_blocks_come_first_and_write_only_points_are_never_read() -> None:
    """Reading a write-only register answers with an exception or with garbage."""
    points = [
        RegisterPoint(name="energy", address=0, poll_class=PollClass.COUNTER),
        RegisterPoint(name="power", address=900, poll_class=PollClass.CONTROL),
        RegisterPoint(name="unlock", address=1800, access=Access.WRITE),
    ]
    plan = plan_reads(points, limits=LinkLimits(), cost=tcp_cost())
    assert [(block.address, block.priority) for block in plan.blocks] == [
        (900, Priority.CONTROL),
        (0, Priority.COUNTER),
    ]
    assert [point.name for point in plan.unreadable] == ["unlock"]
    assert plan.as_dict()["requests"] == [
        {"table": "holding", "address": 900, "count": 1},
        {"table": "holding", "address": 0, "count": 1},
    ]


def test_a_gateway_in_front_of_a_line_is_costed_as_the_line() -> None:
    """A hole that is free on a network costs two characters on the line behind it."""
    direct, behind = (cost_of(parse_url(f"tcp://host{query}")) for query in ("", "?line_baud=9600"))
    assert behind.request_s(Table.HOLDING, 100) > direct.request_s(Table.HOLDING, 100) + 0.2
    costs = [rtu_cost(baud=baud).request_s(Table.HOLDING, 60) for baud in (115200, 19200, 9600)]
    assert all(fast < slow for fast, slow in pairwise(costs))
