"""A seed is all that a failure must remember."""

from collections import Counter
from itertools import pairwise

import pytest

from sitewatt.swarm.draw import CASCADE_S_MAX, FAULTS_FROM, draw
from sitewatt.swarm.plan import FaultKind, Ordered, Plan
from sitewatt.swarm.wires import faulty_plant

SPAN_S = 1800.0


def _drawn(seed: int) -> Plan:
    return draw(seed, speed=15.0, span_s=SPAN_S)


def test_equal_seeds_draw_equal_plans_and_others_differ() -> None:
    """The command that a failure prints must do the same again."""
    assert _drawn(7) == _drawn(7)
    assert len({(plan.place, plan.faults) for plan in map(_drawn, range(20))}) == 20


def test_every_kind_of_fault_and_every_part_is_drawn() -> None:
    """What is never drawn is never tried."""
    plans = [_drawn(seed) for seed in range(60)]
    kinds = Counter(fault.kind for plan in plans for fault in plan.faults)
    assert set(kinds) == set(FaultKind)
    targets = {fault.target for plan in plans for fault in plan.faults}
    assert targets >= {"broker", "cloud", "feeder-1", "solar-farm", "factory", "home-1", "home-1/inverter"}
    details = {fault.detail for plan in plans for fault in plan.faults}
    assert details >= {"drop", "late", "truncate", "zeros", "reboot", "half_open"}


def test_seeds_differ_in_what_they_draw_and_some_draw_nothing() -> None:
    """One kind of fault hides what another would show: an inverter that reboots lets go of what does not end."""
    drawn = [frozenset(fault.kind for fault in _drawn(seed).faults) for seed in range(200)]
    assert 0.05 < sum(not kinds for kinds in drawn) / len(drawn) < 0.25
    for kind in FaultKind:
        assert 0.1 < sum(kind in kinds for kinds in drawn) / len(drawn) < 0.7, kind


def test_faults_follow_close_on_one_another() -> None:
    """A gateway that starts while broker and cloud are gone is where a start has failed."""
    plans = [_drawn(seed) for seed in range(60)]
    gaps = [after.at_s - before.at_s for plan in plans for before, after in pairwise(plan.faults)]
    assert sum(gap <= CASCADE_S_MAX for gap in gaps) > len(gaps) / 4


def test_kinds_that_are_left_out_are_not_drawn() -> None:
    """What a short run cannot judge is left to the night, by name."""
    without = {FaultKind.CLOCK, FaultKind.DISK}
    plans = [draw(seed, speed=15.0, span_s=SPAN_S, without=without) for seed in range(60)]
    assert {fault.kind for plan in plans for fault in plan.faults} == set(FaultKind) - without


def test_a_device_misbehaves_when_the_schedule_says_so() -> None:
    """A drawn fault that the plant never hears of tries nothing."""
    plan = next(plan for plan in map(_drawn, range(99)) if any(one.kind is FaultKind.DEVICE for one in plan.faults))
    drawn = [fault for fault in plan.faults if fault.kind is FaultKind.DEVICE]
    rules = [
        (f"{site.id}/{device.id}", rule.kind.value, rule.from_s)
        for site in faulty_plant(plan).sites
        for device in site.devices
        for rule in device.faults
    ]
    assert sorted(rules) == sorted((fault.target, fault.detail, fault.at_s) for fault in drawn)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_drawn_lies_within_the_run(seed: int) -> None:
    """A fault or an order that outlasts the run leaves nothing to judge."""
    plan = _drawn(seed)
    assert all(fault.at_s >= FAULTS_FROM * SPAN_S and fault.at_s + fault.for_s < SPAN_S for fault in plan.faults)
    assert [fault.number for fault in plan.faults] == list(range(1, len(plan.faults) + 1))
    assert plan.orders and all(order.for_s > 0 and order.at_s + order.for_s < SPAN_S for order in plan.orders)
    assert all(order.site in plan.gateways for order in plan.orders)


def test_a_charging_station_is_ordered_to_less_than_each_of_its_ways_to_charge() -> None:
    """Over one phase, over three, and not at all; orders of a site are numbered in the order of their time."""
    orders = [order for seed in range(40) for order in _drawn(seed).orders if order.what is Ordered.STATION]
    assert {0, 1_300, 2_300, 4_500} <= {order.max_w for order in orders}
    for plan in map(_drawn, range(40)):
        assert [order.number for order in plan.orders] == list(range(1, len(plan.orders) + 1))
        assert all(before.at_s <= after.at_s for before, after in pairwise(plan.orders))


def test_a_part_of_a_schedule_keeps_everything_else() -> None:
    """Shrinking changes the schedule alone."""
    plan = _drawn(3)
    part = plan.only({1, 3})
    assert [fault.number for fault in part.faults] == [1, 3]
    assert (part.place, part.orders, part.speed, part.span_s) == (plan.place, plan.orders, plan.speed, plan.span_s)
