"""One control cycle: a snapshot and requests in, a decision with its reasons out. Nothing here touches anything."""

from collections.abc import Iterable
from dataclasses import replace

from edge.control.arbiter import arbitrate
from edge.control.dispatch import Dispatch, dispatch
from edge.control.envelope import envelope
from edge.control.model import (
    BATTERIES,
    CONNECTION,
    ControlSettings,
    Decision,
    Link,
    Memory,
    Outcome,
    Priority,
    Reason,
    Request,
    Snapshot,
)

SELF_CONSUMPTION = Request(
    requester="self_consumption",
    resource=CONNECTION,
    priority=Priority.SELF_CONSUMPTION,
    reason=Reason.SELF_CONSUMPTION,
    expires_s=float("inf"),
    preferred_w=0.0,
)
HOLD = Request(
    requester="hold",
    resource=BATTERIES,
    priority=Priority.SELF_CONSUMPTION,
    reason=Reason.IDLE,
    expires_s=float("inf"),
    preferred_w=0.0,
)
# The lock freezes the site at its safe state: batteries rest, and only protection, fuse and grid operator stand above
# it.
MAINTENANCE = Request(
    requester="maintenance_lock",
    resource=BATTERIES,
    priority=Priority.OPERATOR_OVERRIDE,
    reason=Reason.MAINTENANCE,
    expires_s=float("inf"),
    min_w=0.0,
    max_w=0.0,
    preferred_w=0.0,
)


def decide(
    snapshot: Snapshot, requests: Iterable[Request], settings: ControlSettings, memory: Memory
) -> tuple[Decision, Memory]:
    """Return what the site shall do, and what the next cycle needs to know.

    The same arguments always give the same decision. The site's own wish (no power at the connection
    point, or batteries at rest) stands below every other request; the caller passes requests whose leases run
    (``lease.live``).

    Args:
        snapshot: Frozen at its instant, which is the instant of the decision.
        requests: Of all requesters; at most one per requester and resource.
        settings: Of the site.
        memory: Of the cycle before; ``Memory()`` at the start.
    """
    now_s = snapshot.taken_s
    env = envelope(snapshot, settings)
    asked = list(requests)
    asked.append(SELF_CONSUMPTION if settings.self_consumption else HOLD)
    if settings.maintenance_lock:
        asked = [request for request in asked if request.priority <= Priority.GRID_OPERATOR]
        asked.append(MAINTENANCE)
    arbitration = arbitrate(connection=env.connection, levers=env.bounds(), requests=asked, now_s=now_s)
    result = dispatch(env, arbitration, settings=settings, memory=memory, now_s=now_s)
    decision = Decision(
        taken_s=now_s,
        setpoints=result.setpoints,
        chain=tuple(_as_dispatched(link, result) for link in arbitration.chain),
        connection=arbitration.grants[CONNECTION].left,
        expected_w=result.expected_w,
        import_excess_w=result.import_excess_w,
        export_excess_w=result.export_excess_w,
        fresh=env.fresh,
        alarms=env.alarms,
    )
    return decision, result.memory


def _as_dispatched(link: Link, result: Dispatch) -> Link:
    """Return a link that says so where a wish was left standing, and a bound elsewhere holds the batteries from it."""
    unmet = result.unmet
    if unmet is None or link.outcome is not Outcome.HELD:
        return link
    if (link.requester, link.resource) != (unmet.requester, unmet.resource):
        return link
    return replace(link, outcome=Outcome.CLIPPED, clipped_by=result.unmet_for)
