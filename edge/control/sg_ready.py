"""The four states of a heat pump with SG Ready inputs, and for how long each must, and may, be held.

Source: Bundesverband Wärmepumpe, rules of the label SG Ready, 2.1: state 1 blocks for at most two hours, 2 is normal,
3 encourages, 4 orders a start as far as the heat pump's own settings allow it.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

from edge.control.arbiter import Grant
from edge.control.levers import Lever
from edge.control.model import LeverMemory


class SgState(IntEnum):
    """What a heat pump is told; the number is the label's."""

    LOCK = 1
    NORMAL = 2
    RECOMMEND = 3
    FORCE = 4


# Source: SG Ready controllers of the field hold each state at least for a minute (OpenEMS), the label locks for 2 h.
HOLD_S_MIN = 60.0
LOCK_S_MAX = 7200.0
# A lock, or the surplus, ends only where the whole rating and this much more fits.
_RETURN_MARGIN = 1.1
# The encouragement by surplus ends below this share of the rating, so that one cloud does not end it.
_SURPLUS_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SgPlan:
    """The state of one heat pump; ``asked`` says that a request chose it."""

    state: SgState
    asked: bool
    memory: LeverMemory


def plan_sg_ready(
    pumps: tuple[Lever, ...],
    grants: tuple[Grant, ...],
    *,
    headroom_w: float,
    surplus_w: float,
    memories: tuple[LeverMemory | None, ...],
    now_s: float,
) -> tuple[SgPlan, ...]:
    """Return the state of every heat pump.

    A request for nothing locks it, one for its rating starts it, one between encourages it. Where the headroom is
    negative the largest are locked until it is not. No state ends before its shortest time, no lock lasts longer than
    two hours, and none begins before as much time has passed as the last one took, whoever asks: that is protection of
    the device, and of who lives with it.

    Args:
        pumps: All heat pumps.
        grants: What requests left to each.
        headroom_w: Power still free at the connection point; negative where its bound is exceeded.
        surplus_w: What the site would feed in without them and without its batteries.
        memories: What each was last told, and since when.
        now_s: Instant of the cycle.
    """
    plans: dict[int, SgPlan] = {}
    for index in sorted(range(len(pumps)), key=lambda index: -pumps[index].rated_w):
        pump, last = pumps[index], memories[index] or LeverMemory()
        wanted, asked = _wanted(pump, grants[index], last, headroom_w=headroom_w, surplus_w=surplus_w)
        state = _allowed(pump, wanted, last, now_s)
        present_w = pump.measured_w or 0.0
        if state is SgState.LOCK and _held(last) is not SgState.LOCK:
            headroom_w += present_w
        elif state > SgState.NORMAL:
            surplus_w -= max(0.0, pump.rated_w - present_w)
        plans[index] = SgPlan(state=state, asked=asked, memory=_remembered(state, last, now_s))
    return tuple(plans[index] for index in range(len(pumps)))


def _wanted(
    pump: Lever, grant: Grant, last: LeverMemory, *, headroom_w: float, surplus_w: float
) -> tuple[SgState, bool]:
    """Return the state that bounds, requests and surplus ask for, before times; and whether a request chose it."""
    power_w = _asked_w(pump, grant)
    is_locked = _held(last) is SgState.LOCK
    # Who waits in the lock draws nothing: it comes out where its whole rating fits.
    short = headroom_w < (pump.rated_w * _RETURN_MARGIN if is_locked else 0.0)
    if power_w == 0.0:
        return SgState.LOCK, True
    if short:
        return SgState.LOCK, False
    encouraged = _held(last) > SgState.NORMAL
    if not encouraged and headroom_w < pump.rated_w - (pump.measured_w or 0.0):
        return SgState.NORMAL, False
    if power_w is not None:
        return (SgState.FORCE if power_w >= pump.rated_w else SgState.RECOMMEND), True
    if pump.asset.follows_surplus:
        enough_w = pump.rated_w * (_SURPLUS_SHARE if encouraged else _RETURN_MARGIN)
        if surplus_w >= enough_w:
            return SgState.RECOMMEND, False
    return SgState.NORMAL, False


def _asked_w(pump: Lever, grant: Grant) -> float | None:
    """Return the power that requests choose: 0 where less than its rating is left, for it cannot draw a part."""
    if grant.left.max_w < pump.rated_w:
        return 0.0
    if grant.wish is not None:
        return grant.wish.power_w
    return pump.rated_w if grant.left.min_w > 0 else None


def _allowed(pump: Lever, wanted: SgState, last: LeverMemory, now_s: float) -> SgState:
    """Return the wanted state, or the one that times ask for."""
    held = _held(last)
    held_for_s = now_s - last.switched_s
    if held is SgState.LOCK and held_for_s >= LOCK_S_MAX:
        return SgState.NORMAL if wanted is SgState.LOCK else wanted
    least_s = max(HOLD_S_MIN, pump.asset.off_s_min if held is SgState.LOCK else 0.0)
    if held > SgState.NORMAL:
        least_s = max(HOLD_S_MIN, pump.asset.on_s_min)
    if wanted is not held and held_for_s < least_s:
        return held
    if wanted is SgState.LOCK and held is not SgState.LOCK and now_s < last.changed_s:
        return SgState.NORMAL
    return wanted


def _held(last: LeverMemory) -> SgState:
    return SgState.NORMAL if last.value_w is None else SgState(int(last.value_w))


def _remembered(state: SgState, last: LeverMemory, now_s: float) -> LeverMemory:
    """Return what to remember; ``changed_s`` is when it may be locked again."""
    held = _held(last)
    if state is held:
        return replace(last, value_w=float(state), at_s=now_s)
    free_s = last.changed_s
    if held is SgState.LOCK:
        free_s = now_s + (now_s - last.switched_s)
    return LeverMemory(value_w=float(state), at_s=now_s, switched_s=now_s, changed_s=free_s)
