"""Devices that go by their own meter: an export limit to keep, and a power at the connection point to reach."""

from dataclasses import replace

import pytest

from edge.control.cycle import decide
from edge.control.envelope import envelope
from edge.control.feasible import reach
from edge.control.model import (
    BATTERIES,
    CONNECTION,
    AssetState,
    Capability,
    ControlSettings,
    Memory,
    Priority,
    Reason,
    lever,
)
from tests.support.rigs.control import SETTINGS, battery, hybrid, request, snapshot, value_of

EXPORT, GRID = Capability.EXPORT_LIMIT, Capability.GRID_SETPOINT
DSO_LIMIT = request("dso", CONNECTION, Priority.GRID_OPERATOR, min_w=-2_000, expires_s=600.0)
NO_EXPORT = ControlSettings(import_w_max=17_000, export_w_max=0)


def keeper(pv_w: float = -6_000.0, **about: object) -> AssetState:
    """Return a hybrid of 10 kW with a battery of 5 kW, whose generation nobody but itself can limit."""
    return replace(hybrid(pv_w=pv_w), capabilities=frozenset({Capability.BATTERY_POWER, EXPORT}), **about)  # type: ignore[arg-type]


def follower(**about: object) -> AssetState:
    """Return the same of a device that is told the power at the connection point."""
    return replace(hybrid(pv_w=-3_000), capabilities=frozenset({GRID}), **about)  # type: ignore[arg-type]


def test_an_inverter_is_told_the_bound_that_it_keeps_by_its_own_meter() -> None:
    """A grid operator's limit holds on a site whose inverter has no limit on its generation."""
    decision, _ = decide(snapshot(-6_000, keeper()), [DSO_LIMIT], SETTINGS, Memory())
    told = next(one for one in decision.setpoints if one.capability is EXPORT)
    assert (told.value_w, told.requester, told.order_ends_s) == (2_000, "dso", 600.0)
    assert told.bound_until_s == 600.0
    assert decision.export_excess_w == 0


def test_the_sites_own_export_limit_is_told_always_and_a_bound_beyond_reach_never() -> None:
    """No feed-in stands in the device itself; 15 kW of 15 kW is no limit and costs no write."""
    decision, _ = decide(snapshot(-6_000, keeper()), [], NO_EXPORT, Memory())
    told = next(one for one in decision.setpoints if one.capability is EXPORT)
    assert (told.value_w, told.reason, told.bound_until_s) == (0, Reason.SITE_LIMIT, float("inf"))
    decision, _ = decide(snapshot(-6_000, keeper()), [], SETTINGS, Memory())
    assert value_of(decision, "hybrid", EXPORT) is None


def test_a_memory_that_wears_follows_the_grid_operator_and_no_market() -> None:
    """A bound that a market moves each quarter would wear it out; the grid operator's is written."""
    wears = keeper(wear_period_s={EXPORT: 3_200.0})
    market = request("market", CONNECTION, Priority.MARKET_DR, min_w=-1_000)
    decision, _ = decide(snapshot(-6_000, wears), [market], SETTINGS, Memory())
    assert value_of(decision, "hybrid", EXPORT) is None
    decision, _ = decide(snapshot(-6_000, wears), [market, DSO_LIMIT], SETTINGS, Memory())
    assert value_of(decision, "hybrid", EXPORT) == 2_000
    decision, _ = decide(snapshot(-6_000, keeper()), [market, DSO_LIMIT], SETTINGS, Memory())
    assert value_of(decision, "hybrid", EXPORT) == 1_000


def test_what_does_not_answer_is_told_nothing_and_holds_nothing_back() -> None:
    """An export limit that nobody keeps is excess, and said to be."""
    decision, _ = decide(snapshot(-6_000, keeper(online=False)), [DSO_LIMIT], SETTINGS, Memory())
    assert not [one for one in decision.setpoints if one.capability is EXPORT]
    assert decision.export_excess_w > 0


def test_an_order_to_limit_export_is_possible_with_such_an_inverter() -> None:
    """Refusing it would leave the one device that could have obeyed alone."""
    alone = replace(keeper(), capabilities=frozenset({EXPORT}))
    assert reach(envelope(snapshot(-6_000, alone), SETTINGS), capacity_wh={}).limits_export
    nothing = replace(alone, capabilities=frozenset())
    assert not reach(envelope(snapshot(-6_000, nothing), SETTINGS), capacity_wh={}).limits_export


@pytest.mark.parametrize(("wish_w", "told_w"), [(0, 0), (-1_000, -1_000), (9_000, 5_000)])
def test_a_grid_setpoint_is_the_power_that_the_connection_point_has_once_the_battery_follows(
    wish_w: float, told_w: float
) -> None:
    """The house takes 3 kW, the sun gives as much: 9 kW is beyond a battery of 5 kW."""
    wish = request("market", CONNECTION, Priority.MARKET_DR, preferred_w=wish_w)
    decision, _ = decide(snapshot(0, follower()), [wish], SETTINGS, Memory())
    assert value_of(decision, "hybrid", GRID) == told_w
    assert decision.expected_w == told_w


def test_a_grid_setpoint_obeys_a_battery_order_and_a_blind_meter_leaves_it_to_its_own() -> None:
    """Whoever orders the battery need not know how its device is moved; what we cannot see, it can."""
    order = request("dso", BATTERIES, Priority.GRID_OPERATOR, min_w=2_000, max_w=2_000, preferred_w=2_000)
    decision, _ = decide(snapshot(500, follower()), [order], SETTINGS, Memory())
    assert value_of(decision, "hybrid", GRID) == 2_500
    own = request("plan", lever("hybrid", Capability.BATTERY_POWER), Priority.OPTIMISER, preferred_w=-1_000)
    decision, _ = decide(snapshot(500, follower()), [own], SETTINGS, Memory())
    assert value_of(decision, "hybrid", GRID) == -500
    decision, _ = decide(snapshot(None, follower()), [order], SETTINGS, Memory())
    assert value_of(decision, "hybrid", GRID) is None


def test_a_grid_setpoint_takes_in_what_another_battery_does() -> None:
    """Two batteries on one meter: the one that is told the meter's power must not undo the other."""
    order = request("dso", BATTERIES, Priority.GRID_OPERATOR, min_w=6_000, max_w=6_000, preferred_w=6_000)
    decision, _ = decide(snapshot(0, follower(), battery()), [order], SETTINGS, Memory())
    assert value_of(decision, "hybrid", GRID) == 6_000
    assert value_of(decision, "bat", Capability.BATTERY_POWER) == 3_000
