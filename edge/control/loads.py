"""What each load of a site shall do, by whatever means its device is moved.

Loads that take a limit are held back before any other is turned off: they can draw less without stopping.
"""

from dataclasses import dataclass

from edge.control.arbiter import Arbitration, Grant
from edge.control.consumption import plan_limits
from edge.control.lease import LEASE_S
from edge.control.levers import Lever
from edge.control.model import (
    CONNECTION,
    LOADS,
    Capability,
    ControlSettings,
    LeverMemory,
    Priority,
    Reason,
    Request,
    Setpoint,
)
from edge.control.setpoints import Group, ends_of, held_until, limit_owner, standing
from edge.control.sg_ready import SgState, plan_sg_ready
from edge.control.switching import plan_switches


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What one load shall do.

    Args:
        value: In the terms of its capability; ``None`` leaves it to itself.
        asked: Whether a request for this load decided, rather than a bound on all or its rest.
        change_w: By how much its power is expected to change.
    """

    item: Lever
    grant: Grant
    value: float | None
    asked: bool
    memory: LeverMemory
    change_w: float


def plan_loads(
    loads: Group,
    *,
    headroom_w: float | None,
    surplus_w: float,
    now_s: float,
    seen_s: float,
    settings: ControlSettings,
) -> tuple[LoadPlan, ...]:
    """Return the plan of every load, in no particular order.

    Args:
        loads: With what was left to each, and what each was last told.
        headroom_w: Power still free at the connection point with the loads as they are, negative where its bound is
            exceeded; ``None`` with a blind meter.
        surplus_w: What the site would feed in without its batteries, with the loads as they are.
        now_s: Instant of the cycle.
        seen_s: When the oldest reading was taken of those that the headroom goes back to.
        settings: Of the site.
    """
    limited = _only(loads, Capability.LIMIT_CONSUMPTION)
    present_w = sum(_present(item) for item in limited.levers)
    followed_w = sum(_present(item) for item in limited.levers if item.asset.follows_surplus)
    plans = [
        _limited(limited, index, plan.limit_w, plan.asked, plan.memory)
        for index, plan in enumerate(
            plan_limits(
                limited.levers,
                limited.grants,
                room_w=None if headroom_w is None else headroom_w + present_w,
                surplus_w=surplus_w + followed_w,
                memories=limited.memories,
                now_s=now_s,
                seen_s=seen_s,
                settings=settings,
            )
        )
    ]
    freed_w = -sum(min(0.0, one.change_w) for one in plans)
    free_w = 0.0 if headroom_w is None else headroom_w + freed_w
    switched = _only(loads, Capability.SWITCH)
    switches = plan_switches(
        switched.levers,
        switched.grants,
        headroom_w=free_w,
        surplus_w=surplus_w,
        memories=switched.memories,
        now_s=now_s,
    )
    for index, switch in enumerate(switches):
        item = switched.levers[index]
        plans.append(
            LoadPlan(
                item=item,
                grant=switched.grants[index],
                value=None if switch.on is None else (item.rated_w if switch.on else 0.0),
                asked=switch.asked,
                memory=switch.memory,
                change_w=_switched_w(item, on=switch.on),
            )
        )
    free_w -= sum(one.change_w for one in plans if one.item.capability is Capability.SWITCH)
    pumps = _only(loads, Capability.SG_READY)
    states = plan_sg_ready(
        pumps.levers,
        pumps.grants,
        headroom_w=free_w,
        surplus_w=surplus_w + sum(_present(item) for item in pumps.levers if item.asset.follows_surplus),
        memories=pumps.memories,
        now_s=now_s,
    )
    for index, pump in enumerate(states):
        item = pumps.levers[index]
        plans.append(
            LoadPlan(
                item=item,
                grant=pumps.grants[index],
                value=None if pump.state is SgState.NORMAL else float(pump.state),
                asked=pump.asked,
                memory=pump.memory,
                change_w=-_present(item) if pump.state is SgState.LOCK else 0.0,
            )
        )
    return tuple(plans)


def load_setpoints(arbitration: Arbitration, plans: tuple[LoadPlan, ...], *, now_s: float) -> list[Setpoint]:
    """Return one setpoint per load, with who decided it and until when it holds."""
    limit = _owner_of_sum(arbitration) or limit_owner(arbitration, of_max=True)
    found = []
    for plan in plans:
        owner = _owner(plan, limit)
        ends_s = ends_of((owner,) if owner else ())
        found.append(
            Setpoint(
                asset=plan.item.asset.id,
                capability=plan.item.capability,
                value_w=plan.value,
                reason=owner.reason if owner else Reason.SITE_LIMIT,
                requester=owner.requester if owner else standing(Reason.SITE_LIMIT),
                expires_s=min(ends_s, now_s + LEASE_S),
                order_ends_s=ends_s,
                bound_until_s=_bound_until(arbitration, plan),
            )
        )
    return found


def _owner_of_sum(arbitration: Arbitration) -> Request | None:
    """Return the request that bounds all loads together, ``None`` where none does."""
    return arbitration.grants[LOADS].steps[-1].request


def _owner(plan: LoadPlan, limit: Request | None) -> Request | None:
    """Return the request behind a plan: the load's own, or the one that bounds the connection point."""
    own = [step.request for step in plan.grant.steps if step.request is not None]
    if plan.grant.wish is not None:
        own.insert(0, plan.grant.wish.request)
    return own[0] if own and plan.asked else limit


def _bound_until(arbitration: Arbitration, plan: LoadPlan) -> float:
    """Return when the last bound of the grid operator on a limited load ends, which its device must not lift alone."""
    if plan.item.capability is not Capability.LIMIT_CONSUMPTION or plan.value is None:
        return float("-inf")
    return max(
        (
            held_until(step.request)
            for steps in (
                arbitration.grants[CONNECTION].steps,
                arbitration.grants[LOADS].steps[1:],
                plan.grant.steps[1:],
            )
            for step in steps
            if step.request is not None
            and step.priority <= Priority.GRID_OPERATOR
            and step.interval.max_w < float("inf")
        ),
        default=float("-inf"),
    )


def _limited(group: Group, index: int, limit_w: float | None, asked: bool, memory: LeverMemory) -> LoadPlan:
    item = group.levers[index]
    change_w = 0.0 if limit_w is None or item.measured_w is None else min(0.0, limit_w - item.measured_w)
    return LoadPlan(item=item, grant=group.grants[index], value=limit_w, asked=asked, memory=memory, change_w=change_w)


def _only(loads: Group, capability: Capability) -> Group:
    """Return the loads that are moved by one capability."""
    places = [index for index, item in enumerate(loads.levers) if item.capability is capability]
    return Group(
        levers=tuple(loads.levers[index] for index in places),
        grants=tuple(loads.grants[index] for index in places),
        memories=tuple(loads.memories[index] for index in places),
    )


def _present(item: Lever) -> float:
    return 0.0 if item.measured_w is None else item.measured_w


def _switched_w(item: Lever, *, on: bool | None) -> float:
    """Return how a load's power changes when it is switched as planned."""
    is_on = item.asset.switched_on is not False
    if on is None or on == is_on:
        return 0.0
    return item.rated_w if on else -_present(item)
