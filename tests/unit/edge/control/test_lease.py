"""Who may command, until when."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.control.cycle import decide
from edge.control.lease import (
    LEASE_S,
    REQUESTS_MAX,
    REVERT_S,
    TOKEN_S,
    Leases,
    drop,
    live,
    may_refresh,
    refresh_due,
    renew,
    revert_s,
    token_for,
)
from edge.control.model import BATTERIES, CONNECTION, Memory, Priority
from tests.support.branches import Branches
from tests.support.rigs.control import SETTINGS, battery, request, snapshot

ORDER = request("agg", BATTERIES, Priority.MARKET_DR, preferred_w=1_000)


def test_a_requester_that_falls_silent_loses_its_lease_after_a_minute() -> None:
    """The cloud may die mid-sentence; the site must not keep doing its last word."""
    leases = renew(Leases(), ORDER, now_s=0)
    assert [item.requester for item in live(leases, now_s=LEASE_S - 1)] == ["agg"]
    assert live(leases, now_s=LEASE_S) == ()


def test_one_requester_never_keeps_anothers_order_alive() -> None:
    """One timer for all clients is how another gateway holds setpoints of a client that is gone."""
    leases = renew(Leases(), ORDER, now_s=0)
    leases = renew(leases, replace(ORDER, requester="owner"), now_s=50)
    assert [item.requester for item in live(leases, now_s=70)] == ["owner"]


def test_a_lease_is_held_per_resource() -> None:
    """Letting go of the battery does not let go of the connection point."""
    leases = renew(Leases(), ORDER, now_s=0)
    leases = renew(leases, replace(ORDER, resource=CONNECTION), now_s=0)
    assert [item.resource for item in live(drop(leases, requester="agg", resource=BATTERIES), now_s=1)] == [CONNECTION]
    assert live(drop(leases, requester="agg"), now_s=1) == ()


def test_a_full_table_refuses_and_keeps_what_it_has() -> None:
    """A flood of requesters must not push out the grid operator."""
    leases = Leases()
    for index in range(REQUESTS_MAX):
        leases = renew(leases, replace(ORDER, requester=f"r{index}"), now_s=0)
    with pytest.raises(OverflowError, match="not taken"):
        renew(leases, ORDER, now_s=0)
    assert len(renew(leases, replace(ORDER, requester="r0"), now_s=1).held) == REQUESTS_MAX


_leases = Branches("live lease", "device timer shorter than the order")


@_leases
@given(st.floats(-100, 1_000), st.floats(0, 200), st.none() | st.floats(0.1, 500), st.floats(0, 1_000))
def test_a_lease_never_outlives_its_order(
    expires_s: float, now_s: float, lease_s: float | None, later_s: float
) -> None:
    """Law 5: of the three timers none outlives the order that it serves."""
    leases = renew(Leases(), replace(ORDER, expires_s=expires_s), now_s=now_s, lease_s=lease_s)
    for item in live(leases, now_s=later_s):
        _leases.met("live lease")
        assert later_s < item.expires_s <= expires_s
    _leases.met("device timer shorter than the order", 0 < REVERT_S < expires_s - now_s)
    assert revert_s(expires_s=expires_s, now_s=now_s) <= max(0.0, expires_s - now_s)
    assert 0 <= revert_s(expires_s=expires_s, now_s=now_s) <= REVERT_S


def test_only_a_fresh_and_finished_cycle_may_refresh_a_device_timer() -> None:
    """A frozen or blind control loop stops every keep-alive by doing nothing."""
    fresh, _ = decide(snapshot(1_000, battery(), at_s=10), (), SETTINGS, Memory())
    blind, _ = decide(snapshot(None, battery(), at_s=10), (), SETTINGS, Memory())
    token = token_for(fresh, cycle=1, finished_s=10.4)
    assert token is not None
    assert may_refresh(token, now_s=11)
    assert not may_refresh(token, now_s=10.5 + TOKEN_S)
    assert not may_refresh(token, now_s=9)
    assert token_for(blind, cycle=1, finished_s=10.4) is None
    assert token_for(fresh, cycle=1, finished_s=10.1 + TOKEN_S) is None
    assert not may_refresh(None, now_s=11)


def test_a_device_timer_is_refreshed_at_a_third() -> None:
    """Two refreshes may be lost before the device lets go."""
    assert not refresh_due(armed_s=0, armed_for_s=90, now_s=29)
    assert refresh_due(armed_s=0, armed_for_s=90, now_s=30)


def test_a_token_serves_to_the_last_of_its_seconds_and_names_its_cycle() -> None:
    """Five seconds are five: at the end of them it still serves, just after them no more."""
    decision, _ = decide(snapshot(1_000, battery()), (), SETTINGS, Memory())
    token = token_for(decision, cycle=7, finished_s=decision.taken_s + TOKEN_S)
    assert token is not None and token.cycle == 7
    assert token_for(decision, cycle=7, finished_s=decision.taken_s + TOKEN_S + 0.001) is None
    assert may_refresh(token, now_s=token.issued_s) and may_refresh(token, now_s=token.issued_s + TOKEN_S)
    assert not may_refresh(token, now_s=token.issued_s + TOKEN_S + 0.001)
    assert not may_refresh(token, now_s=token.issued_s - 0.001)


def test_a_timer_is_refreshed_at_a_third_of_its_time_whenever_it_was_armed() -> None:
    """Ninety seconds armed at 1,000 are due at 1,030."""
    assert not refresh_due(armed_s=1_000, armed_for_s=90, now_s=1_029.9)
    assert refresh_due(armed_s=1_000, armed_for_s=90, now_s=1_030)
