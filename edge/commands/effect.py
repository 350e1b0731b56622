"""What a control cycle shows of a running order: what its devices read back, what the meter says, what is missing."""

from collections.abc import Mapping

from edge.control.life import Effect
from edge.control.model import AssetKind, Request, Setpoint, Snapshot, battery_capability, load
from edge.devices.device import Applied
from edge.loop.cycle import Cycle
from edge.loop.lever_records import Lever


def effect_of(request: Request, requester: str, cycle: Cycle, *, before: Mapping[Lever, float | None]) -> Effect:
    """Return what one cycle shows of an order.

    Args:
        request: What the order asks of the arbiter.
        requester: As whose its setpoints are told.
        cycle: Finished.
        before: What the cycle before told each lever for the same order.
    """
    mine = [
        (setpoint, cycle.applied.get((setpoint.asset, setpoint.capability)))
        for setpoint in cycle.decision.setpoints
        if setpoint.requester == requester
    ]
    readback: dict[str, float | None] = {}
    for _, applied in mine:
        readback.update(applied.readback if applied else {})
    missing = [said for one, applied in mine if (said := _missing(one, applied, before)) is not None]
    asset = next((one for one in cycle.snapshot.assets if load(one.id) == request.resource), None)
    power = cycle.snapshot.connection_power if asset is None else asset.power
    held = not mine and _within(request, power.usable())
    return Effect(
        now_s=cycle.snapshot.taken_s,
        readback=readback,
        readback_equal=not missing if mine else (True if held else None),
        missing="; ".join(missing) if mine else "no device that answers can be moved for it",
        connection_w=cycle.snapshot.connection_power.usable(),
        battery_w=_battery_w(cycle.snapshot),
        switched_on=None if asset is None else asset.switched_on,
        load_w=None if asset is None else asset.power.usable(),
    )


def told(cycle: Cycle) -> dict[str, dict[Lever, float | None]]:
    """Return what a cycle told each lever, by the requester that it was told for."""
    found: dict[str, dict[Lever, float | None]] = {}
    for one in cycle.decision.setpoints:
        found.setdefault(one.requester, {})[one.asset, one.capability] = one.value_w
    return found


def _within(request: Request, power_w: float | None) -> bool:
    """Say whether an order needs no write because its bound already holds without any."""
    return request.preferred_w is None and power_w is not None and request.min_w <= power_w <= request.max_w


def _missing(one: Setpoint, applied: Applied | None, before: Mapping[Lever, float | None]) -> str | None:
    """Say what is wrong with a lever that does not hold what its order asks; ``None`` where it does.

    A setpoint that moves each cycle is read back a cycle later: what counts is what it was told last, or just before,
    for the same order.
    """
    name = f"{one.asset} {one.capability.value}"
    if applied is None:
        return f"{name} was not written"
    place = (one.asset, one.capability)
    if applied.value_w != one.value_w and (place not in before or applied.value_w != before[place]):
        return f"{name} still holds another value"
    return None if applied.ok else f"{name}: {applied.detail}"


def _battery_w(snapshot: Snapshot) -> float | None:
    powers = []
    for asset in snapshot.assets:
        if battery_capability(asset.capabilities) is None:
            continue
        power = asset.battery_power if asset.battery_power is not None else asset.power
        if asset.battery_power is None and asset.kind is not AssetKind.BATTERY:
            continue
        powers.append(power.usable())
    known = [power for power in powers if power is not None]
    return sum(known) if known and len(known) == len(powers) else None
