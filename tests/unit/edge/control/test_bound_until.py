"""How long a bound on generation is to outlive our silence."""

from dataclasses import replace

from edge.control.cycle import decide
from edge.control.model import CONNECTION, Memory, Priority, Reason, Request, Setpoint, Snapshot
from tests.support.rigs.control import SETTINGS, good, pv

NEVER = float("-inf")


def _limit(priority: Priority, *, export_w: float, ends_s: float) -> Request:
    return Request(
        requester=priority.name.lower(),
        resource=CONNECTION,
        priority=priority,
        reason=Reason.GRID_LIMIT if priority is Priority.GRID_OPERATOR else Reason.SCHEDULE,
        expires_s=ends_s,
        min_w=-export_w,
    )


def _setpoint(*requests: Request, export_w_max: float = 15_000.0) -> Setpoint:
    snapshot = Snapshot(taken_s=0.0, connection_power=good(-4500.0), phase_power=None, assets=(pv(power_w=-5000.0),))
    decision, _ = decide(snapshot, requests, replace(SETTINGS, export_w_max=export_w_max), Memory())
    (setpoint,) = decision.setpoints
    return setpoint


def test_a_market_limit_may_end_with_our_silence() -> None:
    """Falling silent costs the aggregator an event, and nobody's safety."""
    assert _setpoint(_limit(Priority.MARKET_DR, export_w=1000.0, ends_s=900.0)).bound_until_s == NEVER


def test_a_grid_limit_is_needed_to_its_own_end() -> None:
    """A dead gateway must not give back the power that the grid operator took, and not hold it longer either."""
    assert _setpoint(_limit(Priority.GRID_OPERATOR, export_w=1000.0, ends_s=900.0)).bound_until_s == 900.0


def test_a_grid_limit_that_names_no_end_is_held_for_good() -> None:
    """A failsafe limit or a wired contact may still hold long after the gateway that asked for it is dead."""
    limit = replace(_limit(Priority.GRID_OPERATOR, export_w=1000.0, ends_s=60.0), bound_until_s=float("inf"))
    setpoint = _setpoint(limit)
    assert setpoint.bound_until_s == float("inf")
    assert setpoint.order_ends_s == 60.0


def test_a_tighter_market_limit_does_not_shorten_the_grid_limit() -> None:
    """The device has one limit for both; letting go of it would break the grid operator's."""
    setpoint = _setpoint(
        _limit(Priority.GRID_OPERATOR, export_w=2000.0, ends_s=900.0),
        _limit(Priority.MARKET_DR, export_w=1000.0, ends_s=300.0),
    )
    assert setpoint.value_w == 1500.0
    assert setpoint.bound_until_s == 900.0


def test_the_sites_own_export_limit_never_ends() -> None:
    """A contract that forbids feeding in does so also while nobody is at work."""
    assert _setpoint(export_w_max=0.0).bound_until_s == float("inf")
