"""Two masters on one device must not fight without end, and a limit is not ours to give away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import ForeignWrites
from edge.control.model import Capability, Reason
from edge.loop.disputes import ALWAYS_HELD, REASSERT_WINDOW_S, REASSERTS_MAX, YIELD_S, Disputes

LEVER = ("inverter", Capability.BATTERY_POWER)


def _writes(policy: ForeignWrites, *, seconds: int, every_s: int = 10, reason: Reason = Reason.SCHEDULE) -> list[int]:
    """Return the seconds at which a lever was taken back that another master changes all the time."""
    disputes = Disputes(policy)
    return [
        now_s
        for now_s in range(0, seconds, every_s)
        if disputes.may_write(LEVER, drifted=True, reason=reason, now_s=float(now_s))
    ]


def test_a_lever_is_taken_back_three_times_in_ten_minutes() -> None:
    """Then it is left alone until the oldest try is ten minutes old."""
    taken = _writes(ForeignWrites.REASSERT, seconds=1_300)
    assert taken[:REASSERTS_MAX] == [0, 10, 20]
    assert taken[REASSERTS_MAX] == REASSERT_WINDOW_S


@given(st.integers(3, 30), st.integers(600, 4_000))
def test_no_ten_minutes_see_more_than_the_budget(every_s: int, seconds: int) -> None:
    """The law behind the budget, at any pace of the other master."""
    taken = _writes(ForeignWrites.REASSERT, seconds=seconds, every_s=every_s)
    for first in taken:
        assert sum(first <= one < first + REASSERT_WINDOW_S for one in taken) <= REASSERTS_MAX


def test_a_yielded_lever_is_tried_again_after_a_while() -> None:
    """The other one may be an installer who is done by then."""
    assert _writes(ForeignWrites.YIELD, seconds=700)[0] == YIELD_S


def test_alarm_leaves_the_lever_for_good_and_says_so() -> None:
    """Until somebody has put it right."""
    disputes = Disputes(ForeignWrites.ALARM)
    assert not disputes.may_write(LEVER, drifted=True, reason=Reason.SCHEDULE, now_s=0.0)
    assert disputes.left == (LEVER,)
    assert disputes.may_write(LEVER, drifted=False, reason=Reason.SCHEDULE, now_s=1.0)
    assert not disputes.left


@pytest.mark.parametrize("policy", list(ForeignWrites))
@pytest.mark.parametrize("reason", sorted(ALWAYS_HELD))
def test_limits_are_always_taken_back(policy: ForeignWrites, reason: Reason) -> None:
    """Neither the fuse nor the grid operator yields to a stranger."""
    assert len(_writes(policy, seconds=1_000, reason=reason)) == 100
