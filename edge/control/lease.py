"""Who may command, until when: three timers, none of which outlives the order that it serves.

The order's own expiry; the edge lease, for a requester that fell silent; the device's revert timer, for a gateway that
fell silent. The last is refreshed only with a token that a completed cycle on fresh inputs issued, so a hung or blind
control loop lets go of every device by doing nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edge.control.model import Decision, Request, Resource

# Source: field practice (Frequenz, OpenEMS, evcc, Victron all use 60 s for a software lease).
LEASE_S = 60.0
# Source: field practice (60 to 120 s in devices); longer than the lease, so that a living gateway falls first and in
# order.
REVERT_S = 90.0
# The longest that a device is asked to hold a bound alone. Source: the greatest time that a Fronius GEN24 takes.
HOLD_S = 28_800.0
REFRESH_SHARE = 1.0 / 3.0
# A token serves the writes of its own cycle and of a late one, not more.
TOKEN_S = 5.0
# Requests that may be held at once; more are refused, not queued.
REQUESTS_MAX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One requester's hold on one resource; it ends at ``until_s`` whatever happens."""

    request: Request
    until_s: float


@dataclass(frozen=True, slots=True)
class Leases:
    """The leases in force, by requester and resource: one client's writes never keep another's alive."""

    held: Mapping[tuple[str, Resource], Lease] = field(default_factory=dict)


def renew(leases: Leases, request: Request, *, now_s: float, lease_s: float | None = LEASE_S) -> Leases:
    """Return the leases with this request granted or renewed, replacing what its requester held on the resource.

    Args:
        leases: In force before.
        request: What is asked; an expired one takes the older one away and leaves none.
        now_s: The instant.
        lease_s: How long the requester may stay silent; ``None`` for an order whose own expiry is the only end.

    Raises:
        OverflowError: The table is full; the request was not taken.
    """
    key = (request.requester, request.resource)
    held = {other: lease for other, lease in leases.held.items() if lease.until_s > now_s and other != key}
    until_s = request.expires_s if lease_s is None else min(request.expires_s, now_s + lease_s)
    if until_s <= now_s:
        return Leases(held)
    if len(held) >= REQUESTS_MAX:
        raise OverflowError(
            f"{request.requester} asks for {request.resource} beyond {REQUESTS_MAX} requests; it was not taken"
        )
    held[key] = Lease(request=request, until_s=until_s)
    return Leases(held)


def drop(leases: Leases, *, requester: str, resource: Resource | None = None) -> Leases:
    """Return the leases without those of a requester, on one resource or on all."""
    return Leases(
        {
            key: lease
            for key, lease in leases.held.items()
            if key[0] != requester or (resource is not None and key[1] != resource)
        }
    )


def live(leases: Leases, *, now_s: float) -> tuple[Request, ...]:
    """Return the requests whose lease runs, each with the lease's end as its own."""
    return tuple(
        replace(lease.request, expires_s=min(lease.request.expires_s, lease.until_s))
        for lease in leases.held.values()
        if lease.until_s > now_s
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleToken:
    """Proof that a control cycle on fresh inputs ran to its end; without it no device timer is refreshed."""

    cycle: int
    issued_s: float


def token_for(decision: Decision, *, cycle: int, finished_s: float, blind: bool = False) -> CycleToken | None:
    """Issue the token of a cycle that wrote what it decided; ``None`` where its inputs were stale or it was late.

    Args:
        decision: Of the cycle.
        cycle: Its number.
        finished_s: When it ended.
        blind: Whether the inputs need not be fresh. Such a token serves only bounds that a device would lift by
            itself: without inputs they are set for the worst case, and to let them run out would be to lift them.
    """
    if not (decision.fresh or blind) or finished_s - decision.taken_s > TOKEN_S:
        return None
    return CycleToken(cycle=cycle, issued_s=finished_s)


def may_refresh(token: CycleToken | None, *, now_s: float) -> bool:
    """Say whether a token still serves: the timers that its cycle's setpoints need may be refreshed now."""
    return token is not None and 0.0 <= now_s - token.issued_s <= TOKEN_S


def revert_s(*, expires_s: float, now_s: float, longest_s: float = REVERT_S) -> float:
    """Return how long a device timer may be armed: never beyond the order that it serves, never below zero."""
    return max(0.0, min(longest_s, expires_s - now_s))


def refresh_due(*, armed_s: float, armed_for_s: float, now_s: float) -> bool:
    """Say whether an armed device timer has used up its third and is to be refreshed."""
    return now_s - armed_s >= armed_for_s * REFRESH_SHARE
