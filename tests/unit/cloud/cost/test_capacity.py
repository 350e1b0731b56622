"""Capacity held ready carries a quarter of an hour with its bursts, and is what the bill counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.cost.capacity import BURST_S, FROM_SITES, KEPT_S, Load
from cloud.cost.estimate import GOAL_USD, Purpose, our_bill
from cloud.cost.headroom import capacity_for
from cloud.cost.volumes import Site
from cloud.stores.tables import Table
from contracts.units import DELIVERY_INTERVAL_S

SITES = 10_000


def refused(per_s: float, units: float, *, bursts: dict[int, float]) -> float:
    """Return what a table refuses in its second quarter of an hour, second by second.

    Args:
        per_s: What is asked for evenly.
        units: Held ready each second; what is left of them is kept for ``KEPT_S``.
        bursts: By the second in which each begins, what comes within ``BURST_S`` of it, evenly.
    """
    left, lost = KEPT_S * units, 0.0
    for second in range(2 * DELIVERY_INTERVAL_S):
        within = second % DELIVERY_INTERVAL_S
        asked = per_s + sum(size / BURST_S for begin, size in bursts.items() if begin <= within < begin + BURST_S)
        available = left + units
        lost += max(0.0, asked - available) if second >= DELIVERY_INTERVAL_S else 0.0
        left = min(KEPT_S * units, max(0.0, available - asked))
    return lost


@given(st.floats(0.001, 0.1), st.floats(0, 10))
def test_a_burst_within_the_average_is_borne(per_s: float, burst: float) -> None:
    """All that a load says comes evenly but for its burst, at any place of the quarter of an hour."""
    burst = min(burst, per_s * DELIVERY_INTERVAL_S)
    load = Load(per_s=per_s, burst=burst)
    even = per_s - burst / DELIVERY_INTERVAL_S
    assert refused(SITES * even, load.units(SITES), bursts={600: SITES * burst}) == 0


def test_too_little_capacity_is_seen_to_refuse() -> None:
    """The judge above is none where it never says no."""
    load = Load(per_s=0.01, burst=8.0)
    assert refused(SITES * 0.001, load.units(SITES) / 2, bursts={600: SITES * 8.0}) > 0


def test_a_small_fleet_is_on_demand_and_what_a_large_one_does_costs_less_than_the_goal() -> None:
    """Reporting, market, forecasts; with what is kept the goal is missed, and by more each month."""
    assert capacity_for(FROM_SITES - 1) == {}
    assert set(capacity_for(FROM_SITES)) < set(Table)

    def does(sites: int) -> float:
        bill = our_bill(Site(), sites=sites)
        return bill.usd - bill.by_purpose()[Purpose.KEEPING]

    assert does(SITES) <= GOAL_USD < does(FROM_SITES - 1)
    assert our_bill(Site(), sites=SITES).usd < 1.02 * GOAL_USD < our_bill(Site(), sites=SITES, months=12).usd


def test_the_bill_counts_every_unit_that_is_held_ready() -> None:
    """And the template holds no more: see the tests of the stack."""
    units = capacity_for(SITES)
    lines = {line.what: line.quantity for line in our_bill(Site(), sites=SITES).lines}
    for table, capacity in units.items():
        hours = 30 * 24 / SITES
        assert lines[f"write units held ready: {table}"] == pytest.approx(
            (capacity.writes + capacity.index_writes) * hours
        )
        assert lines[f"read units held ready: {table}"] == pytest.approx(
            (capacity.reads + capacity.index_reads) * hours
        )
    assert not any(what.startswith("writes") for what in lines)
