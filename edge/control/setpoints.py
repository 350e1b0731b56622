"""Say each decision in the terms of its device, with who decided it and until when it holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from edge.control.arbiter import Arbitration, Grant, Step
from edge.control.batteries import BatteryPlan
from edge.control.lease import LEASE_S
from edge.control.levers import Lever
from edge.control.model import CONNECTION, Capability, LeverMemory, Priority, Reason, Request, Setpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The levers of one capability, with what was left to each and what each was last told."""

    levers: tuple[Lever, ...]
    grants: tuple[Grant, ...]
    memories: tuple[LeverMemory | None, ...]


def battery_setpoints(
    plan: BatteryPlan, batteries: Group, powers: tuple[float, ...], *, connection_w: float | None, now_s: float
) -> list[Setpoint]:
    """Return one setpoint per battery.

    Args:
        connection_w: What the connection point has once the batteries follow, for those that are told that; ``None``
            with a blind meter, where they go by their own.
    """
    who = holder(plan)
    ends_s = ends_of(plan.bounded_by)
    # Following a house second by second wears some devices out; these follow it better by themselves.
    itself = plan.reason is Reason.SELF_CONSUMPTION and all(_wears(battery) for battery in batteries.levers)
    return [
        Setpoint(
            asset=battery.asset.id,
            capability=battery.capability,
            value_w=None if itself else connection_w if battery.capability is Capability.GRID_SETPOINT else power_w,
            reason=plan.reason,
            requester=who,
            expires_s=min(ends_s, now_s + LEASE_S),
            order_ends_s=ends_s,
        )
        for battery, power_w in zip(batteries.levers, powers, strict=True)
    ]


def generation_setpoints(
    arbitration: Arbitration,
    generators: Group,
    caps_w: tuple[float | None, ...],
    *,
    now_s: float,
) -> list[Setpoint]:
    """Return one limit per generator, which holds at its terminals."""
    limit = limit_owner(arbitration, of_max=False)
    found = []
    for generator, grant, cap_w in zip(generators.levers, generators.grants, caps_w, strict=True):
        owners = [own.request for own in grant.steps if own.request is not None]
        if limit is not None:
            owners.append(limit)
        owner = owners[0] if owners else None
        ends_s = ends_of(owners)
        limit_w = None if cap_w is None else 0.0 - cap_w
        if limit_w is not None and limit_w >= generator.rated_w:
            limit_w = None
        found.append(
            Setpoint(
                asset=generator.asset.id,
                capability=Capability.LIMIT_GENERATION,
                value_w=limit_w,
                reason=owner.reason if owner else Reason.SITE_LIMIT,
                requester=owner.requester if owner else standing(Reason.SITE_LIMIT),
                expires_s=min(ends_s, now_s + LEASE_S),
                order_ends_s=ends_s,
                bound_until_s=float("-inf")
                if limit_w is None
                else bound_until_s(arbitration.grants[CONNECTION].steps, grant.steps[1:], within_w=generator.rated_w),
            )
        )
    return found


def _wears(item: Lever) -> bool:
    return item.asset.wear_period_s.get(item.capability, 0.0) > 0


def holder(plan: BatteryPlan) -> str:
    """Name who decides what the batteries do: a requester, or the protection that stands above all of them."""
    return plan.decided_by.requester if plan.decided_by else standing(plan.reason)


def limit_owner(arbitration: Arbitration, *, of_max: bool) -> Request | None:
    """Return the request that set the bound in force at the connection point; ``None`` for the fuse."""
    steps = arbitration.grants[CONNECTION].steps
    owner = None
    for before, after in pairwise(steps):
        moved = after.interval.max_w < before.interval.max_w if of_max else after.interval.min_w > before.interval.min_w
        owner = after.request if moved else owner
    return owner


def ends_of(owners: Iterable[Request]) -> float:
    """Return when the first of the requests that shaped a setpoint ends; infinite where none did."""
    return min((owner.expires_s for owner in owners), default=float("inf"))


def bound_until_s(*chains: Sequence[Step], within_w: float) -> float:
    """Return when the last bound on feeding in ends that silence may not lift: the grid operator's or the fuse's.

    Args:
        chains: Of the resources that bound it.
        within_w: What can be fed in at most; a bound beyond that is none.
    """
    found = float("-inf")
    for step in chain.from_iterable(chains):
        if step.priority > Priority.GRID_OPERATOR or -step.interval.min_w >= within_w:
            continue
        found = max(found, float("inf") if step.request is None else held_until(step.request))
    return found


def held_until(request: Request) -> float:
    return request.expires_s if request.bound_until_s is None else request.bound_until_s


def standing(reason: Reason) -> str:
    """Name the protection behind a reason that no requester gave."""
    return (Priority.SITE_FUSE if reason is Reason.SITE_LIMIT else Priority.DEVICE_PROTECTION).name.lower()
