"""A cap on generation falls at once and rises only on readings that belong together."""

from dataclasses import replace
from itertools import pairwise

from edge.control.cycle import decide
from edge.control.model import (
    AT_ONCE,
    CONNECTION,
    Capability,
    Confirmed,
    Decision,
    Measured,
    Memory,
    Priority,
    Reason,
    Request,
    Snapshot,
)
from edge.control.rising import RISE_WAIT_S
from tests.support.rigs.control import SETTINGS, good, pv

LIMIT = Request(
    requester="grid-operator/limit_export",
    resource=CONNECTION,
    priority=Priority.GRID_OPERATOR,
    reason=Reason.GRID_LIMIT,
    expires_s=1000.0,
    min_w=-1000.0,
)


def _seen(
    at_s: float, *, connection_w: float, pv_w: float, pv_age_s: float = 0.2, confirmed: Confirmed = AT_ONCE
) -> Snapshot:
    power = Measured(pv_w, good(pv_w).quality, pv_age_s)
    inverter = replace(pv(power_w=pv_w), power=power, limit_confirmed=confirmed)
    return Snapshot(taken_s=at_s, connection_power=good(connection_w), phase_power=None, assets=(inverter,))


def _step(snapshot: Snapshot, memory: Memory, *requests: Request) -> tuple[float | None, Memory]:
    decision, after = decide(snapshot, requests, SETTINGS, memory)
    return _cap_w(decision), after


def _cap_w(decision: Decision) -> float | None:
    (setpoint,) = decision.setpoints
    return setpoint.value_w


def test_a_meter_ahead_of_the_inverter_does_not_lift_the_limit() -> None:
    """The meter shows the curtailed site, the inverter still its old output: that is no new load of 4 kW."""
    cap_w, memory = _step(_seen(0.0, connection_w=-4500.0, pv_w=-5000.0), Memory(), LIMIT)
    assert cap_w == 1500.0
    for at_s in (1.0, 2.0, 3.0, 4.0, 5.0):
        skewed = _seen(at_s, connection_w=-1000.0, pv_w=-5000.0, pv_age_s=at_s + 0.2)
        cap_w, memory = _step(skewed, memory, LIMIT)
        assert cap_w == 1500.0


def test_a_load_that_stays_lifts_the_cap_after_a_while() -> None:
    """What waits must come: generation is not held back longer than it has to be."""
    _, memory = _step(_seen(0.0, connection_w=-4500.0, pv_w=-5000.0), Memory(), LIMIT)
    caps: list[tuple[float, float | None]] = []
    for at_s in (2.0, 3.0, 4.0, 5.0, 6.0):
        cap_w, memory = _step(_seen(at_s, connection_w=500.0, pv_w=-1500.0), memory, LIMIT)
        caps.append((at_s, cap_w))
    assert caps == [(at_s, 1500.0 if at_s - 2.0 < RISE_WAIT_S else 3000.0) for at_s, _ in caps]


def test_a_load_that_goes_lowers_the_cap_at_once() -> None:
    """A limit is kept in the cycle that sees it broken."""
    _, memory = _step(_seen(0.0, connection_w=-4500.0, pv_w=-5000.0), Memory(), LIMIT)
    cap_w, _ = _step(_seen(2.0, connection_w=-1400.0, pv_w=-1500.0), memory, LIMIT)
    assert cap_w == 1100.0


def test_a_write_that_waits_for_a_slow_bus_keeps_the_cap_down() -> None:
    """Readings from after the decision and before the write show the old output beside the new meter: no load."""
    before = Confirmed(decided_s=-9.0, at_s=-8.5)
    _, memory = _step(_seen(0.0, connection_w=-4500.0, pv_w=-5000.0, confirmed=before), Memory(), LIMIT)
    for at_s in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0):
        skewed = _seen(at_s, connection_w=-1000.0, pv_w=-5000.0, confirmed=before)
        cap_w, memory = _step(skewed, memory, LIMIT)
        assert cap_w == 1500.0
    written = Confirmed(decided_s=0.0, at_s=6.5)
    caps: list[tuple[float, float | None]] = []
    for at_s in (7.0, 8.0, 9.0, 10.0, 11.0):
        cap_w, memory = _step(_seen(at_s, connection_w=500.0, pv_w=-1500.0, confirmed=written), memory, LIMIT)
        caps.append((at_s, cap_w))
    assert caps == [(at_s, 1500.0 if at_s - 8.0 < RISE_WAIT_S else 3000.0) for at_s, _ in caps]


def test_a_cap_rises_to_the_lowest_that_was_found_while_it_waited() -> None:
    """An inverter that takes seconds to follow makes each pair of readings say something else."""
    _, memory = _step(_seen(0.0, connection_w=-4500.0, pv_w=-5000.0), Memory(), LIMIT)
    cap_w: float | None = None
    for at_s, connection_w in ((2.0, 500.0), (3.0, -500.0), (4.0, 300.0), (5.0, 900.0)):
        cap_w, memory = _step(_seen(at_s, connection_w=connection_w, pv_w=-1500.0), memory, LIMIT)
    assert cap_w == 2000.0


def test_a_limit_that_is_over_is_lifted_whatever_small_rise_was_found_before() -> None:
    """Noise of a watt is no reason to hold a site back for ever."""
    cap_w, memory = _step(_seen(0.0, connection_w=-4499.0, pv_w=-5000.0), Memory(), LIMIT)
    for second in range(1, 30):
        # The sun of the limit: what is left now is a watt more than what was told.
        cap_w, memory = _step(_seen(float(second), connection_w=-1000.0, pv_w=-1502.0), memory, LIMIT)
        assert cap_w is not None
    for second in range(30, 36):
        cap_w, memory = _step(_seen(float(second), connection_w=-1000.0, pv_w=-1502.0), memory)
    assert cap_w is None


def test_where_each_change_wears_the_memory_a_cap_rises_seldom_and_falls_at_once() -> None:
    """A device that bears two hundred writes a day would have used them up in a quarter of an hour."""
    memory, told, load_w = Memory(), [], 3000.0
    wears = {Capability.LIMIT_GENERATION: 432.0}
    for second in range(24 * 3600 // 10):
        at_s = 10.0 * second
        load_w = 500.0 if second % 7 == 0 else 3000.0
        asset = replace(pv(power_w=-5000.0), wear_period_s=wears)
        seen = Snapshot(taken_s=at_s, connection_power=good(load_w - 5000.0), phase_power=None, assets=(asset,))
        cap_w, memory = _step(seen, memory, replace(LIMIT, expires_s=1e9))
        assert cap_w is not None and cap_w <= load_w + 1000.0 + 1e-6
        told.append(cap_w)
    assert sum(before != after for before, after in pairwise(told)) <= 200
    for second in range(15):
        over = Snapshot(taken_s=86_400.0 + second, connection_power=good(-2000.0), phase_power=None, assets=(asset,))
        cap_w, memory = _step(over, memory)
    assert cap_w is None, "a limit that is over is lifted without regard to the memory"
