"""The levers of a site: what can be moved now, how far, and where it stands."""

from dataclasses import dataclass

from edge.control.model import (
    BATTERY_CAPABILITIES,
    SOC_FRESH_S,
    AssetKind,
    AssetState,
    Capability,
    Interval,
    Measured,
    Resource,
    Snapshot,
    battery_capability,
    lever,
    load,
    load_capability,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """One capability of one asset that answers now.

    Args:
        measured_w: Its own power, positive into the asset; ``None`` when no usable reading exists.
        allowed: What device protection leaves; for generation ``[-rated, 0]``.
        rated_w: The largest magnitude of its power.
        gap: Limits that would pass the fuse of a phase between others that do not: what a charger draws over one phase
            alone may be too much there, and more be little enough over all.
    """

    resource: Resource
    asset: AssetState
    capability: Capability
    measured_w: float | None
    allowed: Interval
    rated_w: float
    gap: Interval | None = None


def levers_of(snapshot: Snapshot) -> tuple[Lever, ...]:
    """Return the levers of every asset that can be reached, in the order of the assets."""
    found = []
    for asset in snapshot.assets:
        if not asset.online:
            continue
        battery_moved_by = battery_capability(asset.capabilities)
        if battery_moved_by is not None:
            found.append(_battery(asset, battery_moved_by))
        if Capability.LIMIT_GENERATION in asset.capabilities:
            found.append(_generation(asset))
        moved_by = load_capability(asset.capabilities)
        if moved_by is not None:
            found.append(_load(asset, moved_by))
    return tuple(found)


def battery_allowed(asset: AssetState) -> Interval:
    """Return what a battery may do by its own limits and state of charge.

    A limit that is not known counts as the most restrictive, none; an unknown state of charge leaves only rest.
    """
    soc_percent = (asset.soc_percent or Measured()).usable(within_s=SOC_FRESH_S)
    if soc_percent is None:
        return Interval(0.0, 0.0)
    charge_w = max(0.0, asset.charge_w_max or 0.0) if soc_percent < asset.soc_percent_max else 0.0
    discharge_w = max(0.0, asset.discharge_w_max or 0.0) if soc_percent > asset.soc_percent_min else 0.0
    return Interval(-discharge_w, charge_w)


def worst_power(asset: AssetState) -> Interval:
    """Return the power that an asset may plausibly have while it cannot be reached.

    It may still run at its last setpoint, or have fallen back to whatever its maker chose, so its ratings bound it.
    Source: law 6 of the design; frequenz-floss/frequenz-sdk-python issue 1354 for what happens otherwise.
    """
    if asset.kind is AssetKind.METER:
        return Interval(0.0, 0.0)
    lowest_w = -asset.generation_rated_w - (asset.discharge_w_max or 0.0)
    highest_w = (asset.charge_w_max or 0.0) + asset.load_rated_w
    if asset.last_power_w is not None:
        return Interval(min(lowest_w, asset.last_power_w), max(highest_w, asset.last_power_w))
    return Interval(lowest_w, highest_w)


def reading_of(asset: AssetState, capability: Capability) -> Measured:
    """Return the reading that tells where one lever of an asset stands."""
    part = asset.power
    if capability in BATTERY_CAPABILITIES:
        part = asset.battery_power or asset.power
    elif capability is Capability.LIMIT_GENERATION:
        part = asset.pv_power or asset.power
    return part


def _battery(asset: AssetState, moved_by: Capability) -> Lever:
    rated_w = max(asset.charge_w_max or 0.0, asset.discharge_w_max or 0.0)
    return Lever(
        resource=lever(asset.id, moved_by),
        asset=asset,
        capability=moved_by,
        measured_w=reading_of(asset, moved_by).usable(),
        allowed=battery_allowed(asset),
        rated_w=rated_w,
    )


def _generation(asset: AssetState) -> Lever:
    measured_w = reading_of(asset, Capability.LIMIT_GENERATION).usable()
    return Lever(
        resource=lever(asset.id, Capability.LIMIT_GENERATION),
        asset=asset,
        capability=Capability.LIMIT_GENERATION,
        measured_w=None if measured_w is None else min(0.0, measured_w),
        allowed=Interval(-max(0.0, asset.generation_rated_w), 0.0),
        rated_w=max(0.0, asset.generation_rated_w),
    )


def _load(asset: AssetState, moved_by: Capability) -> Lever:
    # A load of unknown rating can still be told on, which is any power above zero.
    rated_w = max(1.0, asset.load_rated_w)
    return Lever(
        resource=load(asset.id),
        asset=asset,
        capability=moved_by,
        measured_w=reading_of(asset, moved_by).usable(),
        allowed=Interval(0.0, rated_w),
        rated_w=rated_w,
    )
