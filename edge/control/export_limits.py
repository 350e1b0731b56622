"""Inverters that keep an export limit by their own meter: told the bound of the connection point, and let be.

Many hybrids have no limit on their generation, but curtail it themselves so that the meter at the connection point
never shows more export than they were told. That is safe without us: such a device goes on to keep its last limit.
"""

from edge.control.arbiter import Arbitration, Step
from edge.control.envelope import Envelope
from edge.control.lease import LEASE_S
from edge.control.model import CONNECTION, AssetState, Capability, Priority, Reason, Request, Setpoint
from edge.control.setpoints import bound_until_s, ends_of, standing


def export_setpoints(env: Envelope, arbitration: Arbitration, *, now_s: float) -> list[Setpoint]:
    """Return one export limit per device that keeps one; ``None`` where the site could not feed in more anyway.

    Each is told the whole bound: all see the same meter, so none feeds in what another does already. A limit whose
    memory wears follows the grid operator and the site's own bound alone, not what a market moves each quarter.
    """
    steps = arbitration.grants[CONNECTION].steps
    found = []
    for asset in env.export_keepers:
        bounds = [step for step in steps if not _wears(asset) or step.priority <= Priority.GRID_OPERATOR]
        limit_w: float | None = max(0.0, -bounds[-1].interval.min_w)
        if limit_w is not None and limit_w >= env.feed_in_w_max:
            limit_w = None
        owner = _owner(bounds)
        ends_s = ends_of([] if owner is None else [owner])
        found.append(
            Setpoint(
                asset=asset.id,
                capability=Capability.EXPORT_LIMIT,
                value_w=limit_w,
                reason=owner.reason if owner else Reason.SITE_LIMIT,
                requester=owner.requester if owner else standing(Reason.SITE_LIMIT),
                expires_s=min(ends_s, now_s + LEASE_S),
                order_ends_s=ends_s,
                bound_until_s=float("-inf") if limit_w is None else bound_until_s(bounds, within_w=env.feed_in_w_max),
            )
        )
    return found


def kept_w(env: Envelope) -> float:
    """Return what such devices could still hold back: all that they generate now, as far as it is known."""
    return sum(max(0.0, -_generation_w(asset)) for asset in env.export_keepers)


def _generation_w(asset: AssetState) -> float:
    reading = asset.pv_power if asset.pv_power is not None else asset.power
    return reading.usable() or 0.0


def _owner(steps: list[Step]) -> Request | None:
    """Return the request that set the bound in force; ``None`` for the site's own."""
    owner, lowest_w = None, steps[0].interval.min_w
    for step in steps[1:]:
        if step.interval.min_w > lowest_w:
            owner, lowest_w = step.request, step.interval.min_w
    return owner


def _wears(asset: AssetState) -> bool:
    return asset.wear_period_s.get(Capability.EXPORT_LIMIT, 0.0) > 0
