"""Loads that can only be on or off: shed for an import bound, given back when there is room again."""

from dataclasses import dataclass, replace

from edge.control.arbiter import Grant
from edge.control.levers import Lever
from edge.control.model import LeverMemory

# A shed load comes back only when its rating and this much more of it fits, or it would be shed again at once.
_RETURN_MARGIN = 1.1
# One that follows the surplus stays on down to this share of its rating, so that a cloud does not turn it off.
_SURPLUS_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchPlan:
    """What one load shall do; ``on`` is ``None`` where we leave it alone."""

    on: bool | None
    asked: bool
    memory: LeverMemory


def plan_switches(
    loads: tuple[Lever, ...],
    grants: tuple[Grant, ...],
    *,
    headroom_w: float,
    surplus_w: float,
    memories: tuple[LeverMemory | None, ...],
    now_s: float,
) -> tuple[SwitchPlan, ...]:
    """Return the state of every switchable load.

    A load that a request switches follows it; one that nobody asks returns to its rest, where it has one, or is on
    while the surplus is enough for it. Where the
    headroom is negative the largest loads are shed until it is not; the smallest come back first. No load is turned
    before its shortest time on or off has passed, whoever asks: that is protection of the device.

    Args:
        loads: All that can be switched.
        grants: What requests left to each.
        headroom_w: Power still free at the connection point with the loads as they are; negative when it is exceeded.
        surplus_w: What the site would feed in without its batteries, with the loads as they are, or less than zero.
        memories: What each was last told; a load that we shed is remembered at zero, one with a rest that we told to
            come back at its rating.
        now_s: Instant of the cycle.
    """
    plans: dict[int, SwitchPlan] = {}
    for index in sorted(range(len(loads)), key=lambda index: -loads[index].rated_w):
        load = loads[index]
        if load.asset.follows_surplus:
            load, surplus_w = _resting_by_surplus(load, surplus_w, headroom_w)
        plan, headroom_w = _asked_or_shed(load, grants[index], memories[index], headroom_w, now_s)
        plans[index] = plan
    for index in sorted(plans, key=lambda index: loads[index].rated_w):
        load, plan = loads[index], plans[index]
        shed = plan.on is False and not plan.asked and load.asset.switched_on is False
        shed = shed and load.asset.rest_on is not False
        if shed and headroom_w >= load.rated_w * _RETURN_MARGIN and _may_turn(load, plan.memory, now_s):
            headroom_w -= load.rated_w
            told_w = load.rated_w if load.asset.rest_on else None
            plans[index] = replace(plan, on=True, memory=LeverMemory(value_w=told_w, at_s=now_s, switched_s=now_s))
    return tuple(plans[index] for index in range(len(loads)))


def _resting_by_surplus(load: Lever, surplus_w: float, headroom_w: float) -> tuple[Lever, float]:
    """Return a load whose rest is what the surplus says, and the surplus that is left to others.

    It comes on where its whole rating fits, and stays on until half of that is imported for it.
    """
    is_on = load.asset.switched_on is not False
    own_w = (load.rated_w if load.measured_w is None else load.measured_w) if is_on else 0.0
    enough = surplus_w + own_w >= load.rated_w * (_SURPLUS_SHARE if is_on else _RETURN_MARGIN)
    rests_on = enough and (is_on or headroom_w >= load.rated_w)
    resting = replace(load, asset=replace(load.asset, rest_on=rests_on))
    return resting, surplus_w - load.rated_w if rests_on and not is_on else surplus_w


def _asked_or_shed(
    load: Lever, grant: Grant, last: LeverMemory | None, headroom_w: float, now_s: float
) -> tuple[SwitchPlan, float]:
    memory = last or LeverMemory()
    is_on = load.asset.switched_on is not False
    asked = grant.wish is not None or len(grant.steps) > 1
    if asked:
        wanted_w = grant.wish.power_w if grant.wish else grant.left.clamp(load.rated_w if is_on else 0.0)
        want_on = wanted_w > 0
    elif is_on and (headroom_w < 0 or load.asset.rest_on is False):
        want_on = False
    elif not is_on and memory.value_w and load.asset.rest_on and headroom_w >= load.rated_w:
        # Told to come back, and not there yet.
        return SwitchPlan(on=True, asked=False, memory=memory), headroom_w - load.rated_w
    elif memory.value_w == 0.0 or (not is_on and load.asset.rest_on is not None):
        return SwitchPlan(on=False, asked=False, memory=replace(memory, value_w=0.0)), headroom_w
    else:
        return SwitchPlan(on=load.asset.rest_on, asked=False, memory=memory), headroom_w
    if want_on != is_on:
        if not _may_turn(load, memory, now_s):
            return SwitchPlan(on=is_on, asked=asked, memory=memory), headroom_w
        own_w = load.rated_w if load.measured_w is None or want_on else load.measured_w
        headroom_w += -own_w if want_on else own_w
        memory = replace(memory, switched_s=now_s)
    value_w = load.rated_w if want_on else 0.0
    return SwitchPlan(on=want_on, asked=asked, memory=replace(memory, value_w=value_w, at_s=now_s)), headroom_w


def _may_turn(load: Lever, memory: LeverMemory, now_s: float) -> bool:
    is_on = load.asset.switched_on is not False
    held_s = load.asset.on_s_min if is_on else load.asset.off_s_min
    return now_s - memory.switched_s >= held_s
