"""The grid operator's limit as a state machine."""

from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.control.limits import (
    TRANSITIONS,
    GridLimit,
    IllegalLimitStep,
    LimitEvent,
    LimitRefused,
    LimitSettings,
    LimitState,
    bound_w,
    failsafe_request,
    heartbeat,
    ordered,
    started,
    step,
    ticked,
)
from edge.control.model import Reason
from tests.support.branches import Branches

SITE = LimitSettings(failsafe_w=4_200)
EXPECTED = {
    ("init", "limit_set"): "limited",
    ("init", "limit_lifted"): "unlimited_controlled",
    ("init", "window_passed"): "unlimited_autonomous",
    ("unlimited_controlled", "limit_set"): "limited",
    ("unlimited_controlled", "limit_lifted"): "unlimited_controlled",
    ("unlimited_controlled", "heartbeat_lost"): "failsafe",
    ("limited", "limit_set"): "limited",
    ("limited", "limit_lifted"): "unlimited_controlled",
    ("limited", "limit_ended"): "unlimited_controlled",
    ("limited", "heartbeat_lost"): "failsafe",
    ("failsafe", "limit_set"): "limited",
    ("failsafe", "limit_lifted"): "unlimited_controlled",
    ("failsafe", "window_passed"): "unlimited_autonomous",
    ("unlimited_autonomous", "limit_set"): "limited",
    ("unlimited_autonomous", "limit_lifted"): "unlimited_controlled",
}


@pytest.mark.parametrize(("state", "event"), list(product(LimitState, LimitEvent)))
def test_every_pair_is_as_published_or_illegal(state: LimitState, event: LimitEvent) -> None:
    """The table is the specification; a pair nobody thought of must not have a default."""
    expected = EXPECTED.get((state.value, event.value))
    if expected is None:
        with pytest.raises(IllegalLimitStep):
            step(state, event)
    else:
        assert step(state, event).value == expected
    assert len(TRANSITIONS) == len(EXPECTED)


def test_a_lost_heartbeat_falls_to_the_failsafe_limit() -> None:
    """Never to unlimited: the controller may be dead because the grid is in trouble."""
    limit = ordered(started(now_s=0), max_w=9_000, now_s=1)
    assert bound_w(limit, SITE) == 9_000
    limit = ticked(limit, SITE, now_s=120)
    assert limit.state is LimitState.LIMITED
    limit = ticked(limit, SITE, now_s=121)
    assert limit.state is LimitState.FAILSAFE
    assert bound_w(limit, SITE) == 4_200


def test_failsafe_outlasts_any_silence() -> None:
    """A timer alone releases nothing, not after two hours, not after two days."""
    limit = ticked(ordered(started(now_s=0), max_w=9_000, now_s=0), SITE, now_s=200)
    for now_s in (8_000, 90_000, 200_000):
        limit = ticked(limit, SITE, now_s=now_s)
        assert limit.state is LimitState.FAILSAFE


def test_failsafe_ends_with_a_new_order_at_once() -> None:
    """A valid limit message is the regular way out."""
    limit = ticked(ordered(started(now_s=0), max_w=9_000, now_s=0), SITE, now_s=200)
    assert ordered(limit, max_w=6_000, now_s=300).state is LimitState.LIMITED
    assert ordered(limit, max_w=None, now_s=300).state is LimitState.UNLIMITED_CONTROLLED


def test_failsafe_ends_after_the_window_only_while_the_controller_is_heard() -> None:
    """Two hours at least, then 120 s of heartbeats without a limit."""
    limit = ticked(ordered(started(now_s=0), max_w=9_000, now_s=0), SITE, now_s=120)
    now_s = 7_400.0
    limit = ticked(heartbeat(limit, now_s=now_s), SITE, now_s=now_s)
    assert limit.state is LimitState.FAILSAFE
    for later_s in (7_460.0, 7_519.0):
        limit = ticked(heartbeat(limit, now_s=later_s), SITE, now_s=later_s)
        assert limit.state is LimitState.FAILSAFE
    limit = ticked(heartbeat(limit, now_s=7_520), SITE, now_s=7_520)
    assert limit.state is LimitState.UNLIMITED_AUTONOMOUS


def test_an_order_ends_when_it_said_so_while_its_controller_lives() -> None:
    """A limit with a duration is not a lost one."""
    limit = ordered(started(now_s=0), max_w=9_000, ends_s=60, now_s=0)
    assert ticked(limit, SITE, now_s=59).state is LimitState.LIMITED
    assert ticked(limit, SITE, now_s=60).state is LimitState.UNLIMITED_CONTROLLED


@pytest.mark.parametrize("max_w", [-1.0, float("nan"), float("inf")])
def test_an_absurd_limit_is_refused_and_changes_nothing(max_w: float) -> None:
    """A negative limit once wrapped in a register and released an inverter."""
    with pytest.raises(LimitRefused, match="init"):
        ordered(started(now_s=0), max_w=max_w, now_s=0)
    with pytest.raises(LimitRefused, match="ended"):
        ordered(started(now_s=0), max_w=1.0, ends_s=-1, now_s=0)


def test_a_restart_under_a_limit_begins_in_failsafe() -> None:
    """Pulling the plug must not be a way to get rid of a limit."""
    assert started(now_s=0, was=LimitState.LIMITED).state is LimitState.FAILSAFE
    assert started(now_s=0, was=LimitState.UNLIMITED_AUTONOMOUS).state is LimitState.INIT


def test_the_failsafe_limit_has_its_direction_and_no_end_but_the_controllers_word() -> None:
    """Consumption bounds from above, production from below; a device may be told to hold it as long as it can."""
    limit = ticked(ordered(started(now_s=0), max_w=3_000, now_s=0), SITE, now_s=120)
    consumption = failsafe_request(limit, SITE, requester="dso", consumption=True)
    production = failsafe_request(limit, SITE, requester="dso", consumption=False)
    assert consumption is not None
    assert production is not None
    assert (consumption.max_w, production.min_w) == (4_200, -4_200)
    assert {consumption.reason, production.reason} == {Reason.GRID_FAILSAFE}
    assert consumption.expires_s == production.expires_s == float("inf")


def test_a_controller_that_was_never_heard_is_waited_for_and_not_longer() -> None:
    """A site that was always alone must not lose its sun to a gateway that died while waiting."""
    request = failsafe_request(started(now_s=50), SITE, requester="dso", consumption=True)
    assert request is not None
    assert (request.max_w, request.expires_s) == (4_200, 170)


def test_a_controller_that_is_heard_and_sends_no_limit_is_not_waited_for_either() -> None:
    """Heartbeats for the other direction must not hold this one at its failsafe limit for ever."""
    limit = started(now_s=0)
    for now_s in range(10, 120, 10):
        limit = ticked(heartbeat(limit, now_s=now_s), SITE, now_s=now_s)
        assert limit.state is LimitState.INIT
    assert ticked(limit, SITE, now_s=120).state is LimitState.UNLIMITED_AUTONOMOUS


def test_the_machine_asks_nothing_where_an_order_binds_or_nothing_does() -> None:
    """A running order is a request of its own."""
    limit = ordered(started(now_s=0), max_w=3_000, now_s=0)
    assert failsafe_request(limit, SITE, requester="dso", consumption=True) is None
    free = ordered(limit, max_w=None, now_s=1)
    assert failsafe_request(free, SITE, requester="dso", consumption=True) is None


_silence = Branches("left failsafe", "stayed in it")


@_silence
@given(st.lists(st.tuples(st.sampled_from(["tick", "beat", "set", "lift"]), st.floats(0.1, 5_000)), max_size=40))
@example([("tick", 4_000.0), ("tick", 1.0), ("lift", 1.0)])
def test_from_failsafe_no_path_of_silence_leads_to_unlimited(steps: list[tuple[str, float]]) -> None:
    """Whatever happened before: without hearing the controller, a held limit stays held."""
    now_s, limit = 0.0, started(now_s=0)
    for what, after_s in steps:
        now_s += after_s
        before: GridLimit = limit
        if what == "beat":
            limit = heartbeat(limit, now_s=now_s)
        elif what == "set":
            limit = ordered(limit, max_w=5_000, now_s=now_s)
        elif what == "lift":
            limit = ordered(limit, max_w=None, now_s=now_s)
        else:
            limit = ticked(limit, SITE, now_s=now_s)
        if before.state is LimitState.FAILSAFE:
            _silence.met("left failsafe" if bound_w(limit, SITE) is None else "stayed in it")
        if before.state is LimitState.FAILSAFE and bound_w(limit, SITE) is None:
            assert what == "lift" or now_s - limit.heard_s < SITE.heartbeat_s
